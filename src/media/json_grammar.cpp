#include "media/json_grammar.h"

#include <algorithm>
#include <functional>

#include "media/json_number.h"

namespace enxuto {

void JsonGrammar::shortest(uint32_t node, std::string& out) const {
  const JsonNode& n = nodes_[node];
  switch (n.kind) {
    case JsonNode::Kind::kText:
      out += n.text;
      return;
    case JsonNode::Kind::kChars:
      out.append("\"").append(n.least, '-').append("\"");
      return;
    case JsonNode::Kind::kNumber:
      return finish_number(n, {}, out);
    case JsonNode::Kind::kSequence:
      for (const uint32_t child : n.children) shortest(child, out);
      return;
    case JsonNode::Kind::kChoice:
      for (const uint32_t child : n.children)
        if (nodes_[child].bytes == n.bytes) return shortest(child, out);
      return;
    case JsonNode::Kind::kArray:
      for (uint64_t i = 0; i < n.least; ++i) {
        out += i ? ", " : "[";
        shortest(n.children[0], out);
      }
      out += n.least ? "]" : "[]";
      return;
  }
}

bool JsonGrammar::is_sound(uint32_t start) const {
  enum class Mark : uint8_t { kNew, kOpen, kDone };
  std::vector<Mark> marks(nodes_.size());
  const std::function<bool(uint32_t)> visit = [&](uint32_t node) {
    if (nodes_[node].kind != JsonNode::Kind::kChoice || marks[node] == Mark::kDone) return true;
    if (marks[node] == Mark::kOpen) return false;
    marks[node] = Mark::kOpen;
    const bool sound = std::ranges::all_of(nodes_[node].children, visit);
    marks[node] = Mark::kDone;
    return sound;
  };
  return visit(start);
}

// Bytes of the shortest text: from none known they only fall (Knuth, 1977). Then its depth.
void JsonGrammar::measure() {
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = nodes_.size(); i-- > 0;) {
      const uint64_t bytes = std::min(bytes_of(nodes_[i]), JsonNode::kNoEnd);
      changed |= bytes < nodes_[i].bytes;
      nodes_[i].bytes = std::min(bytes, nodes_[i].bytes);
    }
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = nodes_.size(); i-- > 0;) {
      const uint32_t depth = nodes_[i].bytes < JsonNode::kNoEnd ? depth_of(nodes_[i]) : 0;
      changed |= depth != std::exchange(nodes_[i].depth, depth);
    }
  }
}

uint64_t JsonGrammar::bytes_of(const JsonNode& n) const {
  const auto child = [&](size_t i) { return nodes_[n.children[i]].bytes; };
  switch (n.kind) {
    case JsonNode::Kind::kText:
      return n.text.size();
    case JsonNode::Kind::kChars:
      return n.least + 2;
    case JsonNode::Kind::kNumber: {
      std::string text;
      finish_number(n, {}, text);
      return text.size();
    }
    case JsonNode::Kind::kSequence:
      return child(0) + child(1) + child(2);
    case JsonNode::Kind::kArray:
      return n.least ? n.least * (child(0) + 2) : 2;
    case JsonNode::Kind::kChoice:
      break;
  }
  uint64_t least = JsonNode::kNoEnd;
  for (size_t i = 0; i < n.children.size(); ++i) least = std::min(least, child(i));
  return least;
}

uint32_t JsonGrammar::depth_of(const JsonNode& n) const {
  const auto child = [&](size_t i) { return nodes_[n.children[i]].depth; };
  if (n.kind == JsonNode::Kind::kSequence) return std::max(1 + child(1), child(2));
  if (n.kind == JsonNode::Kind::kArray) return n.least ? 1 + child(0) : 1;
  if (n.kind == JsonNode::Kind::kChoice)
    for (const uint32_t each : n.children)
      if (nodes_[each].bytes == n.bytes) return nodes_[each].depth;
  return 0;
}

}  // namespace enxuto
