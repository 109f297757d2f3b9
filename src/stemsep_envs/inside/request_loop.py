"""The session: answers the host's requests one at a time, until it says `shutdown` or is gone."""

from __future__ import annotations

import os
import time
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional

from . import capabilities, params
from .adapters import Context, load_adapter
from .failures import RequestError, from_exception
from .inbox import Inbox
from .messages import INVALID_REQUEST, METHOD_NOT_FOUND, Message, Outbox, RpcError
from .output_files import PartialFiles
from .separation import separate


def serve(incoming: int, outgoing: int, adapter_path: str) -> int:
    """Serve the session on two descriptors; returns the exit status."""
    files = PartialFiles()

    def abandon() -> None:
        # Nobody is left to answer to, and an engine may be deep in its own code: leave from whichever thread this is.
        files.abandon()
        os._exit(1)

    outbox = Outbox(outgoing, lost=abandon)
    inbox = Inbox(incoming, outbox, abandon)
    session = Session(adapter_path, files, outbox, inbox)
    inbox.start()
    while not session.ended:
        message = inbox.next()
        if message is None:
            break
        session.answer(message)
    return 0


class Session:
    """The state between requests: the adapter, then the loaded model."""

    def __init__(self, adapter_path: str, files: PartialFiles, outbox: Outbox, inbox: Inbox) -> None:
        self.ended = False
        self._adapter_path = adapter_path
        self._files = files
        self._outbox = outbox
        self._inbox = inbox
        self._adapter: Optional[ModuleType] = None
        self._devices: List[str] = []
        self._model: Any = None
        self._methods: Dict[str, Callable[[Any, Context], Dict[str, Any]]] = {
            "initialize": self._initialize,
            "load": self._load,
            "separate": self._separate,
            "shutdown": self._shutdown,
        }

    def answer(self, message: Message) -> None:
        """Do what a request asks for, and reply."""
        request_id = message.id
        if request_id is None:
            return
        context = Context(request_id, "separate", self._outbox.notify, lambda: self._inbox.is_cancelled(request_id))
        try:
            context.check_cancelled()
            result = self._method(message.method)(message.params, context)
        except RpcError as error:
            self._conclude(request_id, error)
        # SystemExit: engines made as programs call sys.exit().
        except (Exception, SystemExit) as error:
            self._conclude(request_id, RpcError.from_failure(from_exception(error)))
        else:
            self._inbox.finish(request_id)
            self._outbox.reply(request_id, result)

    def _conclude(self, request_id: Any, error: RpcError) -> None:
        self._inbox.finish(request_id)
        self._outbox.refuse(request_id, error)

    def _method(self, name: str) -> Callable[[Any, Context], Dict[str, Any]]:
        if name not in self._methods:
            raise RpcError(METHOD_NOT_FOUND, f"there is no method {name[:100]!r}", {"kind": "unknown_method"})
        return self._methods[name]

    def _initialize(self, members: Any, _context: Context) -> Dict[str, Any]:
        params.check_initialize(members)
        self._adapter = load_adapter(self._adapter_path)
        description = self._adapter.describe()
        self._devices = list(description["devices"])
        return capabilities.describe(description["packages"], self._devices)

    def _load(self, members: Any, context: Context) -> Dict[str, Any]:
        if self._adapter is None:
            raise _too_early("initialize")
        request = params.parse_load(members)
        if request["device"] not in self._devices:
            message = "the device {!r} is not available here".format(request["device"])
            raise RequestError("unsupported_setting", message, hint="Available: {}.".format(", ".join(self._devices)))
        # Two models at once may not fit.
        self._model = None
        started = time.perf_counter()
        model = self._adapter.load(request, context)
        loaded = {
            "stems": list(model.stems),
            "sample_rate": model.sample_rate,
            "channels": list(model.channels),
            "settings": dict(model.settings),
            "load_seconds": time.perf_counter() - started,
        }
        self._model = model
        return loaded

    def _separate(self, members: Any, context: Context) -> Dict[str, Any]:
        if self._model is None:
            raise _too_early("load")
        request = params.parse_separate(members)
        try:
            result = separate(request, self._model, self._files, context)
            self._files.keep()
        finally:
            # After success there are none left.
            self._files.discard()
        return result

    def _shutdown(self, _members: Any, _context: Context) -> Dict[str, Any]:
        self.ended = True
        return {}


def _too_early(method: str) -> RpcError:
    return RpcError(INVALID_REQUEST, f"the session needs {method!r} first", {"kind": "invalid_request"})
