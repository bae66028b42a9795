"""What a template says with READY always fits one packet, and stays readable."""

import pytest

from reproq.child.control import MAX_TEXT_BYTES, Packet, Verb, decode, warnings_of, warnings_text


@pytest.mark.parametrize("mark", ["y", "ü", "\x00", "🙂"])
@pytest.mark.parametrize("length", [10, 2_000, 100_000])
def test_warnings_fit_one_packet_however_long_and_many_they_are(mark: str, length: int) -> None:
    text = warnings_text([mark * length] * 12)
    assert len(text.encode()) <= MAX_TEXT_BYTES
    *kept, rest = warnings_of(decode(Packet(Verb.READY, text=text).encode()))
    assert [one[:10] for one in kept] == [mark * 10] * 10
    assert rest == "and 2 more warnings"


def test_a_warning_of_some_sentences_is_whole() -> None:
    sentences = "A sentence that says what to do. " * 50
    assert warnings_of(Packet(Verb.READY, text=warnings_text([sentences] * 4))) == [sentences] * 4
