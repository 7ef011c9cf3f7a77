#include "cli/piano_roll.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <ranges>

namespace enxuto {
namespace {

constexpr std::array<const char*, 8> kColours = {"#1f6f8b", "#b4530a", "#1a7f37", "#8250df",
                                                 "#b3261e", "#0a7ea4", "#9a6700", "#57606a"};
constexpr double kQuarter = 16, kRow = 6, kLeft = 34, kTop = 26;

class PianoRoll {
 public:
  explicit PianoRoll(const Song& song) : song_(song) {
    for (const Note& note : song.notes) {
      end_ = std::max(end_, note.start + note.duration);
      colours_.insert({note.instrument, nullptr});
      if (note.instrument == kDrums)
        drum_rows_.insert({note.pitch, 0});
      else
        low_ = std::min<int>(low_, note.pitch), high_ = std::max<int>(high_, note.pitch);
    }
    size_t next = 0;
    for (auto& [instrument, colour] : colours_) colour = kColours[next++ % kColours.size()];
    low_ = lowest_ = std::min(low_, high_) - 1, ++high_;
    for (auto& [drum, row] : std::views::reverse(drum_rows_)) row = --lowest_;
  }

  std::string draw() {
    const double width = x(end_) + 10, height = y(lowest_) + kRow + 8;
    svg_ = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
        "font-family=\"sans-serif\" font-size=\"10\" fill=\"#59636e\">\n"
        "<rect width=\"{0:.0f}\" height=\"{1:.0f}\" fill=\"#ffffff\"/>\n",
        width, height);
    draw_rows();
    draw_bars();
    for (const Note& note : song_.notes) draw_note(note);
    draw_legend();
    return svg_ + "</svg>\n";
  }

 private:
  int row_of(const Note& note) const {
    return note.instrument == kDrums ? drum_rows_.at(note.pitch) : note.pitch;
  }
  double x(uint64_t at) const {
    return kLeft + kQuarter * static_cast<double>(at) / song_.ticks_per_quarter;
  }
  double y(int row) const { return kTop + kRow * (high_ - row); }

  // The black keys' rows, and names of the Cs.
  void draw_rows() {
    constexpr unsigned kBlack = 0b010101001010;
    for (int row = std::max(low_, 0); row <= high_ && row < 128; ++row) {
      if (kBlack >> row % 12 & 1)
        svg_ += fmt::format(
            "<rect x=\"{}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{}\" "
            "fill=\"#f3f5f7\"/>\n",
            kLeft, y(row), x(end_) - kLeft, kRow);
      if (row % 12 == 0)
        svg_ += fmt::format("<text x=\"6\" y=\"{:.1f}\">C{}</text>\n", y(row) + kRow, row / 12 - 1);
    }
  }

  void draw_bars() {
    uint64_t at = 0;
    for (int bar = 1; at <= end_; ++bar) {
      svg_ += fmt::format("<path d=\"M{0:.1f} {1}V{2:.1f}\" stroke=\"#d1d9e0\"/>\n", x(at), kTop,
                          y(lowest_) + kRow);
      if (bar % 4 == 1)
        svg_ += fmt::format("<text x=\"{:.1f}\" y=\"{}\">{}</text>\n", x(at) + 2, kTop - 4, bar);
      const MeterChange meter = change_at(song_.meters, at);
      at += std::max<uint64_t>(1, uint64_t{4} * song_.ticks_per_quarter * meter.beats / meter.unit);
    }
  }

  void draw_note(const Note& note) {
    svg_ += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" "
        "fill=\"{}\" rx=\"1.5\"/>\n",
        x(note.start), y(row_of(note)) + 0.5,
        std::max(1.5, x(note.start + note.duration) - x(note.start) - 1), kRow - 1,
        colours_[note.instrument]);
  }

  void draw_legend() {
    double at = kLeft + 40;
    for (const auto& [instrument, colour] : colours_) {
      const std::string name =
          instrument == kDrums ? "drums" : fmt::format("instrument {}", instrument);
      svg_ += fmt::format("<text x=\"{:.1f}\" y=\"11\" fill=\"{}\">{}</text>\n", at, colour, name);
      at += 90;
    }
  }

  const Song& song_;
  int low_ = 127, high_ = 0;  // rows of pitches, with one more below and above
  int lowest_ = 0;            // and of drums below those
  std::map<uint8_t, int> drum_rows_;
  uint64_t end_ = 0;
  std::map<uint8_t, const char*> colours_;
  std::string svg_;
};

}  // namespace

std::string piano_roll(const Song& song) {
  return song.notes.empty() ? "" : PianoRoll(song).draw();
}

}  // namespace enxuto
