#!/usr/bin/env python3
"""Bach's chorales from the corpus of PyPI's music21 as MIDI files.   fetch_chorales.py FOLDER

Writes FOLDER/train/*.mid and FOLDER/held-out/*.mid (every tenth), four voices each. music21 goes into a venv in
~/.cache/enxuto/music. A pickup is shifted, so that bars begin where the score has them; ties become one note.
"""
import os
import pathlib
import subprocess
import sys

VENV = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "enxuto/music"
NEEDED = ["music21==9.9.1", "mido==1.3.3"]
TICKS = 480  # of a quarter
CHOIR, LOUDNESS, QUARTERS_A_MINUTE = 52, 80, 88


def enter():
    """Runs this again by the venv's Python, which is made where it is not there."""
    if pathlib.Path(sys.prefix) == VENV:
        return
    if not (VENV / "bin/mido-play").exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([VENV / "bin/pip", "--disable-pip-version-check", "install", "-q", *NEEDED], check=True)
    os.execv(VENV / "bin/python", [str(VENV / "bin/python"), *sys.argv])


def track(part, shift, channel, mido):
    """A voice's notes, their ends before the beginnings at the same time."""
    events = []
    for note in part.flatten().stripTies().notes:
        start, end = (round((shift + at) * TICKS) for at in (note.offset, note.offset + note.quarterLength))
        for pitch in note.pitches if end > start else ():
            events += [(start, "note_on", pitch.midi), (end, "note_off", pitch.midi)]
    messages, now = mido.MidiTrack([mido.Message("program_change", channel=channel, program=CHOIR)]), 0
    for at, kind, pitch in sorted(events):
        messages.append(mido.Message(kind, channel=channel, note=pitch, velocity=LOUDNESS, time=at - now))
        now = at
    return messages


def midi(score, music21, mido):
    voices = list(score.parts)
    first = voices[0].getElementsByClass(music21.stream.Measure)[0]
    meters = [(m.offset, m.getContextByClass(music21.meter.TimeSignature))
              for m in voices[0].getElementsByClass(music21.stream.Measure) if m.timeSignature is not None or m is first]
    shift = first.paddingLeft
    head, now, last = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(QUARTERS_A_MINUTE))]), 0, None
    for at, meter in meters:
        tick = round((at + shift) * TICKS) if at > 0 else 0
        if meter is not None and meter.ratioString != last:
            head.append(mido.MetaMessage("time_signature", numerator=meter.numerator, denominator=meter.denominator,
                                         time=tick - now))
            now, last = tick, meter.ratioString
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS)
    file.tracks = [head, *(track(part, shift, channel, mido) for channel, part in enumerate(voices))]
    return file


def main():
    import mido
    import music21
    folder, done = pathlib.Path(sys.argv[1]), 0
    for name in ("train", "held-out"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for path in sorted(music21.corpus.getComposer("bach")):
        if not path.name.startswith("bwv"):
            continue
        score = music21.corpus.parse(path)
        if len(score.parts) != 4:
            continue
        part = "held-out" if done % 10 == 9 else "train"
        midi(score, music21, mido).save(folder / part / (path.stem + ".mid"))
        done += 1
        if done % 20 == 0:
            print(f"{done} chorales", file=sys.stderr, flush=True)
    print(f"{done} chorales in {folder}: train, and held-out (every tenth)")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    enter()
    main()
