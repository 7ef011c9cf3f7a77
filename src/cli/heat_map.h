// Layers by kinds of tensor, each as strong in colour as a figure of it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace enxuto {

struct HeatCell {
  std::string kind;
  std::optional<uint32_t> layer;  // nothing: it belongs to none, and has a row of its own
  std::string title;              // what a pointer on it tells
  std::string text;               // in the cell, where it has room
  double heat;                    // in [0, 1]
};

struct HeatMap {
  std::string what;   // for who does not see it
  std::string style;  // class of its colour
  std::vector<HeatCell> cells;
  std::function<std::string(const std::string& kind)> summary;  // at a row's end
};

// As SVG. Rows by the kinds' names.
std::string heat_map(const HeatMap& map);

// How opaque that much heat is drawn: what legends show.
double opacity_of(double heat);

}  // namespace enxuto
