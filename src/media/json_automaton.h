// Reads a document of a grammar byte by byte, in all ways at once: a pushdown automaton whose sets
// of stacks are numbered, and whose steps are remembered.
#pragma once

#include <map>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "media/json_grammar.h"
#include "media/json_number.h"

namespace enxuto {

// Inside a string: what is awaited. Well-formed UTF-8 only.
enum class CharState : uint8_t { kOpen, kPlain, kEscape, kOne, kTwo, kThree, kE0, kEd, kF0, kF4 };

struct CharStep {
  CharState next = CharState::kPlain;
  bool sound = false, begins = false, closes = false;  // begins: a character more
};
CharStep step_chars(CharState state, uint8_t byte);
// The shortest way back to kPlain, or into it.
std::string_view finish_char(CharState state);

class JsonAutomaton {
 public:
  using State = uint32_t;
  static constexpr State kDead = 0;
  static constexpr uint32_t kBottom = 0;  // the frame below all others: the document is complete

  // Something that is being written, over what goes on when it is done.
  struct Frame {
    uint32_t node, parent;
    uint32_t place = 0;  // of a text: bytes; a sequence: children; characters: CharState; an array:
                         // Items; a number: TypedNumber's, and its sign in the lowest bit
    uint32_t depth = 0;  // of what is written over it
    uint64_t count = 0;  // characters, items, digits
    uint64_t bytes = 0;  // of a short way to complete the document
    auto key() const { return std::tuple(node, parent, place, count); }
  };
  enum class Items : uint32_t { kOpen, kNone, kSome, kComma };

  explicit JsonAutomaton(const JsonGrammar& grammar);

  State start();
  State step(State state, uint8_t byte);  // kDead: no document goes on so
  State run(State state, std::string_view bytes);
  bool is_complete(State state) const;  // the document may end here
  bool is_final(State state) const;     // and must
  // A short way to complete the document.
  uint64_t bytes_left(State state) const;
  std::string finish(State state) const;

  const std::vector<uint32_t>& frames(State state) const { return *states_[state]; }
  const Frame& frame(uint32_t id) const { return frames_[id]; }
  const JsonGrammar& grammar() const { return grammar_; }
  State state_of(std::vector<uint32_t> frames);
  // What follows when this frame is done.
  State after(uint32_t frame);

  // What was remembered is forgotten, but this state, which gets another number.
  bool is_large() const;
  State forget_all_but(State state);

 private:
  using Frames = std::vector<uint32_t>;
  struct KeyHash {
    size_t operator()(const Frame& f) const;
  };
  struct SameKey {
    bool operator()(const Frame& a, const Frame& b) const { return a.key() == b.key(); }
  };

  uint32_t add(Frame frame);
  uint64_t own_bytes(const Frame& frame) const;
  void finish_frame(const Frame& frame, std::string& out) const;
  bool has_room(uint32_t node, uint32_t parent) const;
  void push(uint32_t node, uint32_t parent, Frames& out);
  void push_child(uint32_t sequence, uint32_t child, uint32_t parent, Frames& out);
  void leave(uint32_t parent, Frames& out);
  void step_frame(uint32_t id, uint8_t byte, Frames& out);
  void step_string(const Frame& frame, uint8_t byte, Frames& out);
  void step_number(const Frame& frame, uint8_t byte, Frames& out);
  void step_array(const Frame& frame, uint8_t byte, Frames& out);
  bool may_end(const Frame& frame) const;

  const JsonGrammar& grammar_;
  std::vector<Frame> frames_;
  std::unordered_map<Frame, uint32_t, KeyHash, SameKey> frame_ids_;
  std::map<Frames, State> state_ids_;
  std::vector<const Frames*> states_;  // the keys of state_ids_
  std::unordered_map<uint64_t, State> steps_;
};

}  // namespace enxuto
