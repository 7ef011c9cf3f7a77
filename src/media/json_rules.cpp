#include "media/json_rules.h"

namespace enxuto {
namespace {

using State = JsonAutomaton::State;

// More characters left, or missing, than this count as this many: longer tokens are not used in a
// string whose length is bounded.
constexpr uint64_t kCounted = 64;
constexpr size_t kMostMaskBytes = size_t{8} << 20;
constexpr uint64_t kAutomatonBytes = uint64_t{16} << 20;

bool is_in_string(const JsonAutomaton& automaton, uint32_t id) {
  const JsonAutomaton::Frame& frame = automaton.frame(id);
  return id != JsonAutomaton::kBottom &&
         automaton.grammar()[frame.node].kind == JsonNode::Kind::kChars &&
         frame.place != static_cast<uint32_t>(CharState::kOpen);
}

}  // namespace

Result<std::unique_ptr<JsonRules>> JsonRules::create(std::string_view schema,
                                                     const Tokenizer& tokenizer) {
  ASSIGN_OR_RETURN(JsonGrammar grammar, JsonGrammar::create(schema));
  auto rules = std::unique_ptr<JsonRules>(new JsonRules(std::move(grammar), tokenizer));
  if (rules->fewest_.empty())
    return Status::bad_input("the model's tokens cannot spell a document of the schema",
                             "take a model whose vocabulary has all bytes");
  return rules;
}

uint64_t JsonRules::table_bytes(const Tokenizer& tokenizer) {
  return TokenPieces::table_bytes(tokenizer) + tokenizer.vocabulary_size() * sizeof(uint32_t) +
         kMostMaskBytes + kAutomatonBytes;
}

JsonRules::JsonRules(JsonGrammar grammar, const Tokenizer& tokenizer)
    : grammar_(std::move(grammar)),
      automaton_(grammar_),
      pieces_(tokenizer),
      places_(tokenizer.vocabulary_size(), UINT32_MAX),
      state_(automaton_.start()),
      allowed_(tokenizer.vocabulary_size()) {
  for (size_t i = 0; i < places_.size(); ++i)
    if (tokenizer.ends_generation(static_cast<Token>(i))) ends_.push_back(static_cast<Token>(i));
  for (size_t i = 0; i < pieces_.size(); ++i) places_[pieces_.token(i)] = static_cast<uint32_t>(i);
  fewest_ = pieces_.spell(automaton_.finish(state_));
}

void JsonRules::begin(uint64_t most_tokens) {
  state_ = automaton_.start();
  left_ = most_tokens;
  rest_ = fewest_;
  ended_ = false;
}

const TokenSet& JsonRules::allowed() {
  allowed_.clear();
  if (ended_ || state_ == JsonAutomaton::kDead || automaton_.is_final(state_)) return allowed_;
  std::vector<uint32_t> strings, others;
  for (const uint32_t id : automaton_.frames(state_))
    (is_in_string(automaton_, id) ? strings : others).push_back(id);
  bool all = true;  // that could follow leave room for an end
  if (!others.empty()) all &= add_outside(automaton_.state_of(others));
  for (const uint32_t id : strings) all &= add_in_string(id);
  if (!all) {
    if (rest_.empty()) rest_ = pieces_.spell(automaton_.finish(state_));
    if (!rest_.empty()) allowed_.add(rest_.front());
  }
  if (automaton_.is_complete(state_))
    for (const Token token : ends_) allowed_.add(token);
  return allowed_;
}

void JsonRules::accept(Token token) {
  left_ -= left_ > 0;
  const uint32_t place = places_[token];
  if (place == UINT32_MAX) {
    ended_ = true;
    return;
  }
  state_ = automaton_.run(state_, pieces_.text(place));
  if (!rest_.empty() && rest_.front() == token)
    rest_.erase(rest_.begin());
  else
    rest_.clear();
  const size_t mask_bytes = (masks_.size() + in_strings_.size()) * places_.size() / 8;
  if (automaton_.is_large() || mask_bytes > kMostMaskBytes) forget();
}

bool JsonRules::begins(std::string_view text) {
  return automaton_.run(automaton_.start(), text) != JsonAutomaton::kDead;
}

bool JsonRules::accepts(std::string_view text) {
  return automaton_.is_complete(automaton_.run(automaton_.start(), text));
}

const JsonRules::Mask& JsonRules::mask_of(State state) {
  if (const auto known = masks_.find(state); known != masks_.end()) return known->second;
  Mask& mask = masks_.emplace(state, Mask{TokenSet(places_.size()), 0}).first->second;
  const auto step = [&](State from, uint8_t byte, size_t, State& next) {
    next = automaton_.step(from, byte);
    return next != JsonAutomaton::kDead;
  };
  pieces_.walk(state, step, [&](size_t i, State reached) {
    mask.tokens.add(pieces_.token(i));
    mask.worst = std::max(mask.worst, automaton_.bytes_left(reached));
  });
  return mask;
}

const JsonRules::InString& JsonRules::in_string(CharState state, uint64_t least, uint64_t most) {
  least = std::min(least, kCounted);
  if (most != kNoLimit) most = std::min(most, kCounted);
  const std::tuple key(state, least, most);
  if (const auto known = in_strings_.find(key); known != in_strings_.end()) return known->second;
  InString& result = in_strings_.emplace(key, InString{TokenSet(places_.size()), {}}).first->second;
  struct Inside {
    CharState state;
    uint32_t characters = 0, end = 0;  // end: bytes of the piece with which it was closed; 0: open
  };
  const auto step = [&](const Inside& from, uint8_t byte, size_t place, Inside& next) {
    next = from;
    if (from.end) return true;
    const CharStep taken = step_chars(from.state, byte);
    next.state = taken.next;
    next.characters += taken.begins;
    if (taken.closes) next.end = static_cast<uint32_t>(place + 1);
    return taken.sound && next.characters <= most && (!taken.closes || next.characters >= least);
  };
  pieces_.walk(Inside{state}, step, [&](size_t i, const Inside& reached) {
    if (reached.end)
      result.leaving.emplace_back(static_cast<uint32_t>(i), reached.end);
    else
      result.inside.add(pieces_.token(i));
  });
  return result;
}

bool JsonRules::add_fitting(State from, const TokenSet& tokens) {
  bool all = true;
  tokens.for_each([&](Token token) {
    const bool fits = can_finish(automaton_.run(from, pieces_.text(places_[token])), 0);
    if (fits) allowed_.add(token);
    all &= fits;
  });
  return all;
}

bool JsonRules::add_outside(State state) {
  const Mask& mask = mask_of(state);
  if (mask.worst >= left_) return add_fitting(state, mask.tokens);
  allowed_.add(mask.tokens);
  return true;
}

bool JsonRules::add_in_string(uint32_t id) {
  const JsonAutomaton::Frame frame = automaton_.frame(id);
  const JsonNode& node = grammar_[frame.node];
  const InString& tokens =
      in_string(static_cast<CharState>(frame.place), node.least - std::min(node.least, frame.count),
                node.most == kNoLimit ? kNoLimit : node.most - frame.count);
  bool all = true;
  // A token inside cuts a character at most: so many bytes more.
  const State here = automaton_.state_of({id});
  if (can_finish(here, finish_char(CharState::kThree).size()))
    allowed_.add(tokens.inside);
  else
    all = add_fitting(here, tokens.inside);
  const State after = automaton_.after(id);
  for (const auto& [piece, end] : tokens.leaving) {
    const State reached = automaton_.run(after, pieces_.text(piece).substr(end));
    if (reached == JsonAutomaton::kDead) continue;
    if (can_finish(reached, 0))
      allowed_.add(pieces_.token(piece));
    else
      all = false;
  }
  return all;
}

// Whether one token, and so many more, leave enough for the rest of the document.
bool JsonRules::can_finish(State state, uint64_t more) {
  const uint64_t used = 1 + more;
  if (left_ < used) return false;
  if (automaton_.bytes_left(state) <= left_ - used) return true;
  const auto [known, is_new] = tokens_left_.try_emplace(state, UINT64_MAX);
  if (is_new) {
    const auto spelled = pieces_.spell(automaton_.finish(state));
    if (!spelled.empty()) known->second = spelled.size();
  }
  return known->second <= left_ - used;
}

void JsonRules::forget() {
  state_ = automaton_.forget_all_but(state_);
  masks_.clear();
  in_strings_.clear();
  tokens_left_.clear();
}

}  // namespace enxuto
