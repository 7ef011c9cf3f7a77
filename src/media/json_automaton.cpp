#include "media/json_automaton.h"

#include <algorithm>
#include <tuple>

namespace enxuto {
namespace {

using Kind = JsonNode::Kind;

// Ways to go on that are followed at the same time; those that end sooner first. Every one of them
// leads to a sound document, so that leaving some out loses nothing but choice.
constexpr size_t kMostWays = 4096;
constexpr size_t kMostFrames = size_t{1} << 16, kMostSteps = size_t{1} << 17;

constexpr std::string_view kEscapes = "\"\\bfnrt";

TypedNumber number_of(const JsonAutomaton::Frame& f) {
  return {(f.place & 1) != 0, f.place >> 1, f.count};
}

CharStep first_byte(uint8_t byte) {
  const auto begin = [](CharState next) { return CharStep{next, true, true, false}; };
  if (byte == '"') return {CharState::kPlain, true, false, true};
  if (byte == '\\') return begin(CharState::kEscape);
  if (byte < 0x20) return {};
  if (byte < 0x80) return begin(CharState::kPlain);
  if (byte < 0xC2 || byte > 0xF4) return {};
  if (byte < 0xE0) return begin(CharState::kOne);
  if (byte < 0xF0)
    return begin(byte == 0xE0 ? CharState::kE0 : byte == 0xED ? CharState::kEd : CharState::kTwo);
  return begin(byte == 0xF0 ? CharState::kF0 : byte == 0xF4 ? CharState::kF4 : CharState::kThree);
}

}  // namespace

CharStep step_chars(CharState state, uint8_t byte) {
  const auto within = [byte](uint8_t low, uint8_t high, CharState next) {
    return CharStep{next, byte >= low && byte <= high, false, false};
  };
  switch (state) {
    case CharState::kOpen:
      return within('"', '"', CharState::kPlain);
    case CharState::kPlain:
      return first_byte(byte);
    case CharState::kEscape:
      return {CharState::kPlain, kEscapes.find(static_cast<char>(byte)) != std::string_view::npos,
              false, false};
    case CharState::kOne:
      return within(0x80, 0xBF, CharState::kPlain);
    case CharState::kTwo:
      return within(0x80, 0xBF, CharState::kOne);
    case CharState::kThree:
      return within(0x80, 0xBF, CharState::kTwo);
    case CharState::kE0:
      return within(0xA0, 0xBF, CharState::kOne);
    case CharState::kEd:
      return within(0x80, 0x9F, CharState::kOne);
    case CharState::kF0:
      return within(0x90, 0xBF, CharState::kTwo);
    case CharState::kF4:
      return within(0x80, 0x8F, CharState::kTwo);
  }
  return {};
}

std::string_view finish_char(CharState state) {
  switch (state) {
    case CharState::kOpen:
      return "\"";
    case CharState::kPlain:
      return "";
    case CharState::kEscape:
      return "\\";
    case CharState::kOne:
      return "\x80";
    case CharState::kTwo:
    case CharState::kEd:
      return "\x80\x80";
    case CharState::kE0:
      return "\xA0\x80";
    case CharState::kF0:
      return "\x90\x80\x80";
    case CharState::kThree:
    case CharState::kF4:
      return "\x80\x80\x80";
  }
  return "";
}

size_t JsonAutomaton::KeyHash::operator()(const Frame& f) const {
  uint64_t hash = f.count;
  for (const uint64_t part : {f.node, f.parent, f.place})
    hash = (hash ^ part) * 0x9e3779b97f4a7c15 ^ hash >> 29;
  return hash;
}

JsonAutomaton::JsonAutomaton(const JsonGrammar& grammar) : grammar_(grammar) {
  forget_all_but(kDead);
}

JsonAutomaton::State JsonAutomaton::start() {
  Frames frames;
  push(grammar_.root(), kBottom, frames);
  return state_of(std::move(frames));
}

JsonAutomaton::State JsonAutomaton::state_of(Frames frames) {
  std::ranges::sort(frames);
  frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
  if (frames.size() > kMostWays) {
    std::ranges::stable_sort(frames, {}, [&](uint32_t id) { return frames_[id].bytes; });
    frames.resize(kMostWays);
    std::ranges::sort(frames);
  }
  const auto [known, is_new] =
      state_ids_.try_emplace(std::move(frames), static_cast<State>(states_.size()));
  if (is_new) states_.push_back(&known->first);
  return known->second;
}

JsonAutomaton::State JsonAutomaton::after(uint32_t frame) {
  Frames frames;
  leave(frames_[frame].parent, frames);
  return state_of(std::move(frames));
}

JsonAutomaton::State JsonAutomaton::step(State state, uint8_t byte) {
  const uint64_t key = uint64_t{state} << 8 | byte;
  if (const auto known = steps_.find(key); known != steps_.end()) return known->second;
  Frames out;
  for (const uint32_t id : *states_[state]) step_frame(id, byte, out);
  return steps_[key] = state_of(std::move(out));
}

JsonAutomaton::State JsonAutomaton::run(State state, std::string_view bytes) {
  for (const char byte : bytes)
    if ((state = step(state, static_cast<uint8_t>(byte))) == kDead) break;
  return state;
}

bool JsonAutomaton::may_end(const Frame& frame) const {
  return frame.node != UINT32_MAX && grammar_[frame.node].kind == Kind::kNumber &&
         is_number(grammar_[frame.node], number_of(frame));
}

bool JsonAutomaton::is_complete(State state) const {
  return std::ranges::any_of(*states_[state], [&](uint32_t id) {
    return id == kBottom || (frames_[id].parent == kBottom && may_end(frames_[id]));
  });
}

bool JsonAutomaton::is_final(State state) const { return *states_[state] == Frames{kBottom}; }

uint64_t JsonAutomaton::bytes_left(State state) const {
  uint64_t least = JsonNode::kNoEnd;
  for (const uint32_t id : *states_[state]) least = std::min(least, frames_[id].bytes);
  return least;
}

std::string JsonAutomaton::finish(State state) const {
  std::string out;
  const Frames& frames = *states_[state];
  uint32_t id = *std::ranges::min_element(frames, {}, [&](uint32_t f) { return frames_[f].bytes; });
  for (; id != kBottom; id = frames_[id].parent) finish_frame(frames_[id], out);
  return out;
}

bool JsonAutomaton::is_large() const {
  return frames_.size() > kMostFrames || steps_.size() > kMostSteps;
}

JsonAutomaton::State JsonAutomaton::forget_all_but(State state) {
  const Frames kept = states_.empty() ? Frames{} : *states_[state];
  const std::vector<Frame> old = std::move(frames_);
  frames_.clear(), frame_ids_.clear(), steps_.clear(), states_.clear(), state_ids_.clear();
  add({UINT32_MAX, kBottom});
  state_of({});  // kDead
  if (kept.empty()) return kDead;
  Frames again;
  for (const uint32_t id : kept) {
    Frames path;
    for (uint32_t each = id; each != kBottom; each = old[each].parent) path.push_back(each);
    uint32_t parent = kBottom;
    for (; !path.empty(); path.pop_back()) {
      Frame frame = old[path.back()];
      frame.parent = parent;
      parent = add(frame);
    }
    again.push_back(parent);
  }
  return state_of(std::move(again));
}

uint32_t JsonAutomaton::add(Frame frame) {
  if (const auto known = frame_ids_.find(frame); known != frame_ids_.end()) return known->second;
  const auto id = static_cast<uint32_t>(frames_.size());
  if (id != kBottom) {
    const Kind kind = grammar_[frame.node].kind;
    frame.depth = frames_[frame.parent].depth + (kind == Kind::kSequence || kind == Kind::kArray);
    frame.bytes = frames_[frame.parent].bytes + own_bytes(frame);
  }
  frames_.push_back(frame);
  frame_ids_[frame] = id;
  return id;
}

uint64_t JsonAutomaton::own_bytes(const Frame& f) const {
  const JsonNode& node = grammar_[f.node];
  const uint64_t missing = node.least - std::min(node.least, f.count);
  switch (node.kind) {
    case Kind::kText:
      return node.text.size() - f.place;
    case Kind::kChars:
      return finish_char(static_cast<CharState>(f.place)).size() + missing + 1;
    case Kind::kNumber: {
      std::string rest;
      finish_number(node, number_of(f), rest);
      return rest.size();
    }
    case Kind::kSequence: {
      uint64_t bytes = 0;
      for (size_t i = f.place; i < node.children.size(); ++i)
        bytes += grammar_[node.children[i]].bytes;
      return bytes;
    }
    case Kind::kArray: {
      const uint64_t item = grammar_[node.children[0]].bytes;
      if (f.place == static_cast<uint32_t>(Items::kOpen)) return node.bytes;
      if (f.place == static_cast<uint32_t>(Items::kComma))
        return 2 + item + (missing ? missing - 1 : 0) * (2 + item);
      return missing * (2 + item) + 1;
    }
    case Kind::kChoice:
      break;
  }
  return 0;
}

void JsonAutomaton::finish_frame(const Frame& f, std::string& out) const {
  const JsonNode& node = grammar_[f.node];
  uint64_t missing = node.least - std::min(node.least, f.count);
  switch (node.kind) {
    case Kind::kText:
      out += node.text.substr(f.place);
      return;
    case Kind::kChars:
      out += finish_char(static_cast<CharState>(f.place));
      out.append(missing, '-').append("\"");
      return;
    case Kind::kNumber:
      return finish_number(node, number_of(f), out);
    case Kind::kSequence:
      for (size_t i = f.place; i < node.children.size(); ++i)
        grammar_.shortest(node.children[i], out);
      return;
    case Kind::kArray:
      if (f.place == static_cast<uint32_t>(Items::kOpen)) return grammar_.shortest(f.node, out);
      if (f.place == static_cast<uint32_t>(Items::kComma)) {
        grammar_.shortest(node.children[0], out.append(" "));
        missing -= missing > 0;
      }
      for (; missing; --missing) grammar_.shortest(node.children[0], out.append(", "));
      out += "]";
      return;
    case Kind::kChoice:
      return;
  }
}

bool JsonAutomaton::has_room(uint32_t node, uint32_t parent) const {
  return grammar_[node].bytes < JsonNode::kNoEnd &&
         frames_[parent].depth + grammar_[node].depth <= kMostNesting;
}

void JsonAutomaton::push(uint32_t node, uint32_t parent, Frames& out) {
  if (!has_room(node, parent)) return;
  switch (grammar_[node].kind) {
    case Kind::kSequence:
      return push_child(node, 0, parent, out);
    case Kind::kChoice:
      for (const uint32_t child : grammar_[node].children) push(child, parent, out);
      return;
    default:
      out.push_back(add({node, parent}));
  }
}

void JsonAutomaton::push_child(uint32_t sequence, uint32_t child, uint32_t parent, Frames& out) {
  const auto& children = grammar_[sequence].children;
  const bool last = child + 1 == children.size();
  push(children[child], last ? parent : add({sequence, parent, child + 1}), out);
}

// The frame above is done.
void JsonAutomaton::leave(uint32_t parent, Frames& out) {
  const Frame frame = frames_[parent];
  if (parent != kBottom && grammar_[frame.node].kind == Kind::kSequence)
    return push_child(frame.node, frame.place, frame.parent, out);
  out.push_back(parent);
}

void JsonAutomaton::step_frame(uint32_t id, uint8_t byte, Frames& out) {
  if (id == kBottom) return;
  Frame frame = frames_[id];
  const JsonNode& node = grammar_[frame.node];
  switch (node.kind) {
    case Kind::kText:
      if (static_cast<uint8_t>(node.text[frame.place]) != byte) return;
      if (++frame.place == node.text.size()) return leave(frame.parent, out);
      out.push_back(add(frame));
      return;
    case Kind::kChars:
      return step_string(frame, byte, out);
    case Kind::kNumber:
      return step_number(frame, byte, out);
    default:
      return step_array(frame, byte, out);
  }
}

void JsonAutomaton::step_string(const Frame& frame, uint8_t byte, Frames& out) {
  const JsonNode& node = grammar_[frame.node];
  const CharStep step = step_chars(static_cast<CharState>(frame.place), byte);
  if (!step.sound) return;
  if (step.closes) {
    if (frame.count >= node.least) leave(frame.parent, out);
    return;
  }
  if (step.begins && frame.count == node.most) return;
  Frame next = frame;
  next.place = static_cast<uint32_t>(step.next);
  next.count += step.begins;
  if (node.most == kNoLimit) next.count = std::min(next.count, node.least);
  out.push_back(add(next));
}

void JsonAutomaton::step_number(const Frame& frame, uint8_t byte, Frames& out) {
  const JsonNode& node = grammar_[frame.node];
  if (const auto typed = type_number(node, number_of(frame), static_cast<char>(byte))) {
    Frame next = frame;
    next.place = typed->place << 1 | (typed->negative ? 1 : 0);
    next.count = typed->digits;
    out.push_back(add(next));
  }
  if (!may_end(frame)) return;
  Frames after;
  leave(frame.parent, after);
  for (const uint32_t id : after) step_frame(id, byte, out);
}

void JsonAutomaton::step_array(const Frame& frame, uint8_t byte, Frames& out) {
  const JsonNode& node = grammar_[frame.node];
  const auto at = [&](Items place, uint64_t count) {
    Frame next = frame;
    next.place = static_cast<uint32_t>(place), next.count = count;
    if (node.most == kNoLimit) next.count = std::min(next.count, node.least);
    return add(next);
  };
  const auto has_next = [&](uint32_t id) { return has_room(node.children[0], id); };
  switch (static_cast<Items>(frame.place)) {
    case Items::kOpen:
      if (byte != '[') return;
      if (node.least == 0) out.push_back(at(Items::kNone, 0));
      if (node.most > 0) push(node.children[0], at(Items::kSome, 1), out);
      return;
    case Items::kNone:
      if (byte == ']') leave(frame.parent, out);
      return;
    case Items::kSome:
      if (byte == ']' && frame.count >= node.least) leave(frame.parent, out);
      if (byte != ',' || frame.count == node.most) return;
      if (const uint32_t comma = at(Items::kComma, frame.count); has_next(comma))
        out.push_back(comma);
      return;
    case Items::kComma:
      if (byte == ' ') push(node.children[0], at(Items::kSome, frame.count + 1), out);
      return;
  }
}

}  // namespace enxuto
