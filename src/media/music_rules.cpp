#include "media/music_rules.h"

#include "media/midi_file.h"

namespace enxuto {

void MusicRules::add(Event event, uint32_t begin, uint32_t end) {
  const Token first = tokens_.token(event, begin);
  set_.add(first, first + static_cast<Token>(end) - static_cast<Token>(begin));
}

void MusicRules::add_other(Event event, int64_t than, uint32_t begin) {
  add(event, begin, MusicTokens::count(event));
  if (than >= begin) set_.remove(tokens_.token(event, static_cast<uint32_t>(than)));
}

void MusicRules::add_bars() {
  const uint32_t most = wishes_.bars.value_or(kMostWrittenBars);
  if (final_) return set_.add(end_);
  if (bars_ + 1 < most) set_.add(tokens_.token(Event::kBar));
  if (bars_ + 1 >= most || !wishes_.bars) set_.add(tokens_.token(Event::kFinalBar));
}

// At the beginning of a bar: a meter, a tempo.
void MusicRules::add_changes() {
  if (last_ != Event::kMeter) {
    add_other(Event::kMeter, meter_);
    if (meter_ < 0) return;
  }
  if (wishes_.tempo) {
    if (tempo_ != *wishes_.tempo) set_.add(tokens_.token(Event::kTempo, *wishes_.tempo));
  } else {
    add_other(Event::kTempo, tempo_);
  }
  if (tempo_ >= 0) add_next();
}

// A later position, or another bar.
void MusicRules::add_next() {
  add(Event::kPosition, static_cast<uint32_t>(position_ + 1),
      bar_steps(static_cast<uint32_t>(meter_)));
  add_bars();
}

// What may still come at this position.
void MusicRules::add_notes() {
  const bool pitches = instrument_ >= 0 && drum_ < 0 && pitch_ > 0;
  const bool drums = drum_ < 127 && !instrument_said_;
  if (drum_ < 0 && !instrument_said_ && last_ != Event::kVelocity) {
    add_other(Event::kInstrument, instrument_, static_cast<uint32_t>(begun_ + 1));
    if (instruments_.count() >= kMostInstruments)
      for (uint32_t i = 0; i < kDrums; ++i)
        if (!instruments_[i]) set_.remove(tokens_.token(Event::kInstrument, i));
  }
  if (last_ != Event::kVelocity && (pitches || drums)) add_other(Event::kVelocity, velocity_);
  if (velocity_ < 0) return;
  if (pitches) add(Event::kPitch, 0, static_cast<uint32_t>(pitch_));
  if (drums) add(Event::kDrum, static_cast<uint32_t>(drum_ + 1), 128);
}

const TokenSet& MusicRules::allowed() {
  set_.clear();
  if (complete_) return set_;
  switch (last_) {
    case Event::kNone:
      if (wishes_.minor.value_or(false) == false) set_.add(tokens_.token(Event::kMode, 0));
      if (wishes_.minor.value_or(true)) set_.add(tokens_.token(Event::kMode, 1));
      break;
    case Event::kMode:
      add_bars();
      break;
    case Event::kBar:
    case Event::kFinalBar:
    case Event::kMeter:
      add_changes();
      break;
    case Event::kTempo:
      add_next();
      break;
    case Event::kPitch:
      add(Event::kDuration, 0, MusicTokens::count(Event::kDuration));
      break;
    case Event::kDuration:
    case Event::kDrum:
      add_next();
      [[fallthrough]];
    default:  // a position, an instrument, a velocity
      add_notes();
  }
  return set_;
}

void MusicRules::accept(Token token) {
  if (token == end_) {
    complete_ = last_ != Event::kNone;
    return;
  }
  const uint32_t index = tokens_.index(token);
  last_ = tokens_.event(token);
  if (last_ == Event::kBar || last_ == Event::kFinalBar) {
    ++bars_;
    position_ = -1;
    final_ = last_ == Event::kFinalBar;
  }
  if (last_ == Event::kMeter) meter_ = index;
  if (last_ == Event::kTempo) tempo_ = index;
  accept_note(last_, index);
}

void MusicRules::accept_note(Event event, uint32_t index) {
  if (event == Event::kPosition) position_ = index, begun_ = -1, pitch_ = 128, drum_ = -1;
  if (event == Event::kInstrument)
    instrument_ = index, instrument_said_ = true, pitch_ = 128, instruments_.set(index);
  if (event == Event::kVelocity) velocity_ = index;
  if (event == Event::kPitch) begun_ = instrument_, pitch_ = index, instrument_said_ = false;
  if (event == Event::kDrum) drum_ = index;
}

}  // namespace enxuto
