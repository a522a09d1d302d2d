"""WebSocket bytes of a server → messages, and what is left for the library. Pure: sits in the stream below it.

    bytes ─▶ FrameSplitter ─▶ complete data messages          (the hot path: six slices of bytes, no objects)
                          └─▶ ping, pong, close               (untouched, for trio-websocket and wsproto)

The rule: whoever breaks the protocol is judged by the library, not here. From the first frame that is not as it should
be (masked, reserved bits, out of sequence, longer than allowed) every byte goes to the library, the fragments held
back before it included, and the library closes the connection with the code that RFC 6455 wants.
"""

_FIN, _RESERVED, _OPCODE, _CONTROL = 0x80, 0x70, 0x0F, 0x08
_CONTINUATION, _TEXT, _BINARY = 0x0, 0x1, 0x2
_WHOLE = (_FIN | _TEXT, _FIN | _BINARY)
_LENGTH_16, _LENGTH_64 = 126, 127


class FrameSplitter:
    """Take the data messages out of what a server sends after its handshake reply."""

    def __init__(self, max_message_bytes: int) -> None:
        self._max = max_message_bytes
        self._is_surrendered = False
        self._held: list[bytes] = []  # pieces of a frame that is not complete yet
        self._held_bytes = 0
        self._needed_bytes = 0  # nothing can be complete before so many bytes are held
        self._message = bytearray()  # payload of a fragmented message so far
        self._fragments = bytearray()  # its frames as received, in case the library must judge them
        self._is_fragmented = False

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Return the messages that `data` completes, in order, and the bytes to hand to the library."""
        if self._is_surrendered:
            return [], data
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes < self._needed_bytes:
            return [], b""
        held = data if len(self._held) == 1 else b"".join(self._held)
        self._hold(b"", 0)
        return self._split(held)

    def _hold(self, data: bytes, needed_bytes: int) -> None:
        self._held = [data] if data else []
        self._held_bytes = len(data)
        self._needed_bytes = needed_bytes

    def _split(self, data: bytes) -> tuple[list[bytes], bytes]:
        messages: list[bytes] = []
        rest: list[bytes] = []
        at, size, needed = 0, len(data), 2
        while size - at >= needed:
            first, length, start = data[at], data[at + 1], at + 2
            if first & _RESERVED or length > _LENGTH_64:  # an extension nobody agreed on, or a server that masks
                return messages, self._surrender(rest, data[at:])
            if length >= _LENGTH_16:
                is_short = length == _LENGTH_16
                start += 2 if is_short else 8
                if size < start:
                    needed = start - at
                    break
                length = data[at + 2] << 8 | data[at + 3] if is_short else int.from_bytes(data[at + 2 : start], "big")
                if length > self._max:
                    return messages, self._surrender(rest, data[at:])
            end = start + length
            if end > size:
                needed = end - at
                break
            if first in _WHOLE and not self._is_fragmented:
                messages.append(data[start:end])
            elif first & _CONTROL:
                rest.append(data[at:end])
            elif not self._fragment(data[at:end], start - at, messages):
                return messages, self._surrender(rest, data[at:])
            at, needed = end, 2
        self._hold(data[at:], needed)
        return messages, b"".join(rest)

    def _fragment(self, frame: bytes, start: int, messages: list[bytes]) -> bool:
        """Add one frame of a fragmented message; False if it does not continue what came before, or grows too long."""
        opcode = frame[0] & _OPCODE
        if self._is_fragmented != (opcode == _CONTINUATION) or opcode > _BINARY:
            return False
        if len(self._message) + len(frame) - start > self._max:
            return False
        self._is_fragmented = True
        self._message += frame[start:]
        if len(frame) > start or not self._fragments:  # empty continuations add nothing, however many come
            self._fragments += frame
        if frame[0] & _FIN:
            messages.append(bytes(self._message))
            self._forget()
        return True

    def _surrender(self, rest: list[bytes], data: bytes) -> bytes:
        self._is_surrendered = True
        before = bytes(self._fragments)
        self._forget()
        return b"".join((*rest, before, data))

    def _forget(self) -> None:
        self._is_fragmented = False
        self._message, self._fragments = bytearray(), bytearray()
