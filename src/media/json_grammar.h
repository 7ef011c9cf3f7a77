// What JSON a schema allows, as a grammar of bytes.
//
// Documents are written in one way: properties in the schema's order, one space after ':' and ',',
// none elsewhere; characters as they are (UTF-8), escaped as \" \\ \b \f \n \r \t; numbers in plain
// decimals, integers of at most 15 digits, others of 12 and 6 after the point.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace enxuto {

inline constexpr uint64_t kNoLimit = UINT64_MAX;
inline constexpr uint32_t kMostNesting = 64;  // of objects and arrays in each other

struct JsonNode {
  enum class Kind : uint8_t {
    kText,      // these bytes
    kChars,     // a string, with its quotes
    kNumber,    // from low to high
    kSequence,  // children one after the other; all but the last one lie in an object
    kChoice,    // one of the children
    kArray      // of the one child
  };
  Kind kind;
  std::string text = {};
  std::vector<uint32_t> children = {};
  uint64_t least = 0, most = kNoLimit;  // characters of a string, items of an array
  // A number is a whole count of units of 10^-decimals.
  int64_t low = 0, high = 0;
  uint32_t decimals = 0;
  // Of the shortest text: its bytes, and how deep it nests. kNoEnd bytes: there is none.
  uint64_t bytes = kNoEnd;
  uint32_t depth = 0;

  static constexpr uint64_t kNoEnd = uint64_t{1} << 40;
};

class JsonGrammar {
 public:
  // Understands type (also several), properties, required, additionalProperties (true or false:
  // none is written), items, minItems, maxItems, minLength, maxLength, minimum, maximum and the
  // exclusive ones, enum, const, anyOf, and $ref to a place in the schema; annotations are passed
  // over. kBadInput with the place and the name of what it does not, of JSON that is unsound, and
  // of a schema that is too large or that no document can keep.
  static Result<JsonGrammar> create(std::string_view schema);

  const JsonNode& operator[](uint32_t node) const { return nodes_[node]; }
  uint32_t root() const { return root_; }
  // Appends the shortest text of a node.
  void shortest(uint32_t node, std::string& out) const;

 private:
  friend class JsonSchemaCompiler;
  // Whether this choice never leads back to itself before anything is written.
  bool is_sound(uint32_t node) const;
  void measure();  // bytes and depth of all nodes
  uint64_t bytes_of(const JsonNode& node) const;
  uint32_t depth_of(const JsonNode& node) const;

  std::vector<JsonNode> nodes_;
  uint32_t root_ = 0;
};

}  // namespace enxuto
