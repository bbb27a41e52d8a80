"""From a module's custom sections to pyelftools' `DWARFInfo`; and a guard against what damage does.

May import base, `ttd.wasm` and pyelftools.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, TypeVar

from ttd.errors import InternalError
from ttd.wasm.model import Module

if TYPE_CHECKING:
    from elftools.dwarf.dwarfinfo import DWARFInfo

T = TypeVar("T")

_SECTIONS = (
    "debug_info", "debug_aranges", "debug_abbrev", "debug_frame", "debug_str", "debug_loc", "debug_ranges",
    "debug_line", "debug_pubtypes", "debug_pubnames", "debug_addr", "debug_str_offsets", "debug_line_str",
    "debug_loclists", "debug_rnglists", "debug_types",
)  # fmt: skip

MAX_PROBLEMS = 100


class Problems:
    """What was found damaged, in the order in which it was met. A debugger goes on without it."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def note(self, message: str) -> None:
        """Remember `message`, on one line, once, and not without bound."""
        message = " ".join(message.split())
        if len(self.messages) < MAX_PROBLEMS and message not in self.messages:
            self.messages.append(message)

    def attempt(self, what: str, action: Callable[[], T], default: T) -> T:
        """The result of `action`, or `default` and a note where it fails.

        pyelftools promises nothing about damaged input: besides its own errors come KeyError, AssertionError,
        AttributeError, TypeError and whatever else bytes can provoke. Hence the wide net; it is cast only
        around the reading of debug information.
        """
        try:
            return action()
        except InternalError:
            raise
        except Exception as error:  # see above
            self.note(f"{what}: {type(error).__name__}: {error}")
            return default


def open_dwarf(module: Module) -> DWARFInfo | None:
    """The DWARF of a module, from its ``.debug_*`` custom sections; None without a ``.debug_info``."""
    if module.custom(".debug_info") is None or module.custom(".debug_abbrev") is None:
        return None
    from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig

    from ttd.debuginfo.entries import Dwarf

    descriptors: dict[str, DebugSectionDescriptor | None] = {}
    for name in _SECTIONS:
        section = module.custom("." + name)
        descriptors[name + "_sec"] = section and DebugSectionDescriptor(
            BytesIO(section.data), section.name, section.offset, len(section.data), 0
        )
    return Dwarf(
        DwarfConfig(little_endian=True, machine_arch="wasm", default_address_size=address_size(module)),
        eh_frame_sec=None,
        debug_sup_sec=None,
        gnu_debugaltlink_sec=None,
        **descriptors,
    )


def address_size(module: Module) -> int:
    """Bytes of a pointer in the module's first memory."""
    return 8 if module.memories and module.memories[0].is64 else 4
