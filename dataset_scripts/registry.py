"""Finds datasets and metrics: one module per thing in a folder, imported on use.

Adding a module is all it takes to add a dataset or a metric; there is no central list.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Generic, TypeVar

from .errors import UnknownNameError

T = TypeVar("T")


class Registry(Generic[T]):
    """The things of one kind, one module each.

    Args:
        kind: the word for error messages ("dataset", "metric").
        package: dotted name of the folder that holds the modules.
        base: every module defines exactly one concrete subclass of it.
        how_to_list: the command that lists the names.
    """

    def __init__(self, kind: str, package: str, base: type[T], how_to_list: str) -> None:
        self.kind, self.package, self.base, self.how_to_list = kind, package, base, how_to_list

    def names(self) -> list[str]:
        """Returns the sorted names; imports none of the modules."""
        package = importlib.import_module(self.package)
        return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))

    def get(self, name: str) -> type[T]:
        """Returns the class called `name`.

        Raises:
            UnknownNameError: there is no such module; the message proposes close names.
            TypeError: the module does not define exactly one subclass of `base` (a mistake in this project).
        """
        if name not in self.names():
            raise UnknownNameError(self.kind, name, self.names(), self.how_to_list)
        module = importlib.import_module(f"{self.package}.{name}")
        found = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, self.base) and value.__module__ == module.__name__
        ]
        if len(found) != 1:
            raise TypeError(f"{module.__name__} must define one subclass of {self.base.__name__}, found {len(found)}.")
        return found[0]
