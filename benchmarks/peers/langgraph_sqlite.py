"""LangGraph over its aiosqlite checkpointer, durable before each step goes on. Prints seconds."""

import asyncio
import operator
import sys
import time
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send


class State(TypedDict):
    """What a graph carries along."""

    n: int
    results: Annotated[list[int], operator.add]


async def step(state: State) -> dict[str, Any]:
    """The least that a node can do."""
    return {"n": state["n"] + 1}


async def work(item: int) -> dict[str, Any]:
    """The least that an item can do."""
    return {"results": [item]}


def steps(size: int) -> StateGraph:
    """One node, over and over."""
    graph = StateGraph(State)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda state: "step" if state["n"] < size else END)
    return graph


def spread(size: int) -> StateGraph:
    """An item each, at once."""
    graph = StateGraph(State)
    graph.add_node("work", work)
    graph.add_conditional_edges(START, lambda _: [Send("work", n) for n in range(size)])
    return graph


async def main(which: str, size: int) -> None:
    """Take the time from the start to the result."""
    async with AsyncSqliteSaver.from_conn_string("peer.sqlite") as saver:
        graph = {"steps": steps, "map": spread}[which](size).compile(checkpointer=saver)
        config = {"configurable": {"thread_id": "one"}, "recursion_limit": size + 10}
        begun = time.perf_counter()
        result = await graph.ainvoke({"n": 0, "results": []}, config, durability="sync")
        taken = time.perf_counter() - begun
        if max(result["n"], len(result["results"])) != size:
            raise AssertionError
        print(taken)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
