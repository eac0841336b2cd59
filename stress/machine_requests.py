"""Rules of `stress.machine`: requests, surveys, contexts and services."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import strategies
from hypothesis.stateful import rule

import trionng
from stress.machine_model import ASKING, INDEX, LONG, SHORT, Bench, Model
from trionng import blocking

SERVES = ("rep0", "respondent0", "pull0")
# With what a question is asked, and answered.
MEANS = strategies.sampled_from(("socket", "context"))


async def _echo(question: bytes) -> bytes:
    return question


class Requests(Bench):
    """Ask and answer by sockets, contexts and services."""

    @rule(
        index=INDEX,
        gives_up=strategies.booleans(),
        answers=strategies.booleans(),
        asks_with=MEANS,
        answers_with=MEANS,
    )
    def ask(
        self, index: int, gives_up: bool, answers: bool, asks_with: str, answers_with: str
    ) -> None:
        """Ask; let the peers answer or not; give up or not."""
        model = self._pick(index, ASKING, closed=False)
        if model is None:
            return
        model.asked += 1
        question = b"%d of %d" % (model.asked, id(model))
        if asks_with == "context":
            asking = model.socket.new_context()
            try:
                self._ask(model, asking, question, gives_up, answers, answers_with)
            finally:
                self._driver.close(asking)
        else:
            self._ask(model, model.socket, question, gives_up, answers, answers_with)

    def _ask(
        self,
        model: Model,
        asking: Any,
        question: bytes,
        gives_up: bool,
        answers: bool,
        answers_with: str,
    ) -> None:
        pending, was_sent = None, True
        if model.is_trio and model.protocol == "req0" and asking is model.socket:
            pending = self._driver.begin(asking.request, question, is_trio=True, seconds=LONG)
        else:
            try:
                self._call(model, asking.send, question, seconds=SHORT)
            except trionng.Timeout:
                was_sent = False
        live = [peer for peer in model.peers if not peer.closed]
        answered = any([self._answer(each, question, answers_with) for each in live if answers])
        served = [peer for peer in live if peer.service is not None]
        # Of a survey one answer is enough; a request goes to one of the peers only.
        due = answered or (
            was_sent
            and bool(served)
            and (model.protocol == "surveyor0" or len(served) == len(live))
            and all(peer in model.linked for peer in served)
        )
        if pending is not None:
            if gives_up or not due:
                self._driver.cancel(pending)
            reply = pending.result(LONG + 5)
            assert reply in (None, question), f"{reply!r} answers {question!r}"
            assert reply is not None or gives_up or not due
        elif due and not gives_up:
            reply = self._call(model, asking.recv)
            assert reply == question, f"{reply!r} answers {question!r}"

    def _answer(self, peer: Model, question: bytes, answers_with: str) -> bool:
        """Say whether a peer has got the question and answered it; earlier ones are too."""
        if peer.service is not None:
            return False
        answering = peer.socket.new_context() if answers_with == "context" else peer.socket
        try:
            with contextlib.suppress(trionng.Timeout):
                while (data := self._call(peer, answering.recv, seconds=SHORT)) != question:
                    self._call(peer, answering.send, data)
                self._call(peer, answering.send, data)
                return True
            return False
        finally:
            if answering is not peer.socket:
                self._driver.close(answering)

    @rule(index=INDEX)
    def serve(self, index: int) -> None:
        """Start a service on a socket that answers, or end the one there is."""
        model = self._pick(index, ASKING.values(), closed=False)
        if model is None:
            return
        if model.service is None:
            self._serve(model)
        else:
            self._end_service(model)

    def _serve(self, model: Model) -> None:
        is_rep = model.protocol == "rep0"
        if model.is_trio:
            start = trionng.serve_rep if is_rep else trionng.serve_respondent
            model.service = self._driver.serve(start, _echo, socket=model.socket)
        elif is_rep:
            model.service = blocking.serve_rep(bytes, socket=model.socket, workers=2)

    def _end_service(self, model: Model) -> None:
        service, model.service = model.service, None
        if service is not None:
            self._driver.close(service)

    @rule(index=INDEX)
    def use_context(self, index: int) -> None:
        """A context can be opened, and closed while it waits."""
        model = self._pick(index, (*ASKING, *ASKING.values(), "sub0"), closed=False)
        if model is None:
            return
        context = model.socket.new_context()
        with contextlib.suppress(trionng.Timeout, trionng.BadState, trionng.Closed):
            self._call(model, context.recv, seconds=0)
        self._driver.close(context)
