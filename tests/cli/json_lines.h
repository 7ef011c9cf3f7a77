// What the program writes line by line.
#pragma once

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "program.h"

namespace enxuto {

// Of a training: a line for each step.
inline std::vector<nlohmann::json> metrics_of(const std::string& output) {
  std::vector<nlohmann::json> lines;
  std::istringstream in(read_whole(output + ".training/metrics.jsonl"));
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

}  // namespace enxuto
