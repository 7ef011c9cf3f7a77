#!/usr/bin/env python3
"""MIDI files by mido, another's writer, and their notes as mido reads them: src/media/testdata/mido.{mid,json}.

Run it by a Python with mido (tools/fetch_chorales.py makes one: ~/.cache/enxuto/music/bin/python).
"""
import json
import pathlib
import random

import mido

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "src/media/testdata"


def random_track(rng, channel):
    """Notes that may sound together, changes of program, and what has no meaning here."""
    track, now, events = mido.MidiTrack(), 0, []
    for _ in range(40):
        now += rng.choice((0, 0, 60, 120, 200))
        pitch, length = rng.randrange(30, 90), rng.choice((30, 120, 240, 500))
        events += [(now, "note_on", pitch, rng.randrange(1, 128)), (now + length, "note_off", pitch, 0)]
    for at in (0, 900):
        events.append((at, "program_change", rng.randrange(128), 0))
    now = 0
    for at, kind, first, second in sorted(events, key=lambda event: (event[0], event[1] != "program_change", event)):
        if kind == "program_change":
            track.append(mido.Message(kind, channel=channel, program=first, time=at - now))
        else:
            track.append(mido.Message(kind, channel=channel, note=first, velocity=second, time=at - now))
        now = at
    track.append(mido.Message("pitchwheel", channel=channel, pitch=100, time=5))
    track.append(mido.Message("sysex", data=(1, 2, 3)))
    return track


def notes_of(file):
    """[start, duration, instrument, pitch, velocity], in order: 128 is drums."""
    notes = []
    for track in file.tracks:
        now, programs, open_notes = 0, {}, {}
        for message in track:
            now += message.time
            if message.type == "program_change":
                programs[message.channel] = message.program
            if message.type not in ("note_on", "note_off"):
                continue
            key = message.channel, message.note
            if key in open_notes:
                start, instrument, velocity = open_notes.pop(key)
                notes.append([start, max(1, now - start), instrument, message.note, velocity])
            if message.type == "note_on" and message.velocity > 0:
                instrument = 128 if message.channel == 9 else programs.get(message.channel, 0)
                open_notes[key] = now, instrument, message.velocity
    return sorted(notes)


def main():
    rng = random.Random(1)
    file = mido.MidiFile(type=1, ticks_per_beat=240)
    file.tracks.append(mido.MidiTrack([
        mido.MetaMessage("track_name", name="héad"), mido.MetaMessage("set_tempo", tempo=612345),
        mido.MetaMessage("time_signature", numerator=6, denominator=8),
        mido.MetaMessage("set_tempo", tempo=400000, time=1440),
        mido.MetaMessage("time_signature", numerator=3, denominator=4, time=1440)]))
    file.tracks += [random_track(rng, channel) for channel in (0, 3, 9)]
    FOLDER.mkdir(exist_ok=True)
    file.save(FOLDER / "mido.mid")
    said = mido.MidiFile(FOLDER / "mido.mid")
    (FOLDER / "mido.json").write_text(json.dumps({"ticks_per_quarter": said.ticks_per_beat, "notes": notes_of(said)}))


main()
