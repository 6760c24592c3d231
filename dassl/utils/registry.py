"""Tables of classes and functions by name."""

from __future__ import annotations

from typing import Any

from caspl.ground.errors import unknown_name

from .errors import RegistryError


class Registry:
    """Objects by their `__name__`, registered with a decorator or a call, as Dassl 0.6.3.

    Example:
        TRAINER_REGISTRY = Registry("TRAINER")

        @TRAINER_REGISTRY.register()
        class MyTrainer: ...
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._obj_map: dict[str, Any] = {}

    def register(self, obj: Any = None, force: bool = False) -> Any:
        """Register `obj`, or return a decorator that does; `force` lets it take the place of another object.

        Raises:
            RegistryError: the name is in use already.
        """
        if obj is None:
            return lambda decorated: self.register(decorated, force=force)
        name = obj.__name__
        if name in self._obj_map and not force:
            raise RegistryError(
                f'"{name}" is already registered in the {self._name} registry, by {self._obj_map[name].__module__}; '
                "choose another name or pass force=True."
            )
        self._obj_map[name] = obj
        return obj

    def get(self, name: str) -> Any:
        """Return the object registered as `name`.

        Raises:
            RegistryError: there is none; the sentence lists the registered names and the nearest one.
        """
        if name not in self._obj_map:
            raise RegistryError(unknown_name(name, self._obj_map, what=f"name in the {self._name} registry"))
        return self._obj_map[name]

    def registered_names(self) -> list[str]:
        """Return all names, in the order of registration."""
        return list(self._obj_map)
