#include "media/json_grammar.h"

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

}  // namespace enxuto
