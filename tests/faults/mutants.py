"""Promises broken on purpose, one at a time: each mutant must turn a test red, or that test proves nothing.

A mutant is a function that changes the running product through `patch(object, name, value)`. `TABLE` says which promise
each one breaks. They are applied in this process by a test, and in a victim's by name.
"""

TABLE = {}


def breaks(*promises):
    def named(mutant):
        TABLE[mutant.__name__] = (mutant, promises)
        return mutant

    return named


def apply(name, patch=setattr):
    TABLE[name][0](patch)
