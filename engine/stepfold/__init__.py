"""An async, event-sourced engine for the Amazon States Language, to embed in Python services."""

from .language.limits import Limits as Limits
from .language.machine import Machine as Machine
from .language.machine import load as load
from .runtime.clock import ManualClock as ManualClock
from .runtime.engine import Engine as Engine
from .runtime.handle import ExecutionFailed as ExecutionFailed
from .runtime.handle import ExecutionStopped as ExecutionStopped
from .runtime.handle import ExecutionTimedOut as ExecutionTimedOut
from .runtime.handle import Handle as Handle
from .work.call import Call as Call
from .work.call import TaskError as TaskError
from .work.workers import Worker as Worker

__version__ = "0.1.0"
