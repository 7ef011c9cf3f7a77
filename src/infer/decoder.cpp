#include "infer/decoder.h"

#include <algorithm>
#include <cassert>
#include <chrono>

namespace enxuto {

Decoder::Decoder(Session& session)
    : session_(session), length_(session.stream_statistics().bytes_per_pass > 0) {
  if (session.draft() > 0) lookup_.emplace(session.lookup_memory(), session.context());
  tokens_.reserve(session.context());
}

void Decoder::push(Token token) {
  tokens_.push_back(token);
  if (lookup_) lookup_->push(tokens_);
}

// The session forgets what was guessed and not confirmed.
void Decoder::drop_guesses() {
  draft_.clear();
  confirmed_ = 0;
  const auto wanted = static_cast<uint32_t>(tokens_.size());
  // A pass that failed has left fewer.
  [[maybe_unused]] const uint32_t held = session_.n_tokens(), left = session_.rewind(wanted);
  assert(left == std::min(held, wanted));
}

uint32_t Decoder::rewind(uint32_t n) {
  drop_guesses();
  const uint32_t left = session_.rewind(n);
  while (tokens_.size() > left) {
    if (lookup_) lookup_->pop(tokens_);
    tokens_.pop_back();
  }
  return left;
}

Result<std::span<const float>> Decoder::prompt(std::span<const Token> tokens) {
  drop_guesses();
  auto logits = session_.feed(tokens);
  if (logits.ok())
    for (const Token token : tokens) push(token);
  else
    rewind(static_cast<uint32_t>(tokens_.size()));
  return logits;
}

Result<std::span<const float>> Decoder::step(Token token, uint32_t most_ahead) {
  const size_t vocabulary = session_.model().hyper.vocabulary;
  const bool asked = confirmed_ < draft_.size();
  const bool right = asked && draft_[confirmed_] == token;
  if (asked) {
    length_.judge(match_, right);
    ++statistics_.drafted;
  }
  ++statistics_.steps;
  if (right) {
    ++statistics_.accepted;
    push(token);
    return rows_.subspan(++confirmed_ * vocabulary, vocabulary);
  }
  drop_guesses();
  push(token);
  guess(most_ahead);
  auto logits = pass(token);
  if (!logits.ok()) rewind(static_cast<uint32_t>(tokens_.size() - 1));
  return logits;
}

void Decoder::guess(uint32_t most_ahead) {
  if (!lookup_) return;
  const auto room = static_cast<uint32_t>(session_.context() - tokens_.size());
  const uint32_t most = std::min({most_ahead, session_.draft(), room});
  match_ = lookup_->guess(tokens_, most, draft_);
  draft_.resize(length_.choose(match_, static_cast<uint32_t>(draft_.size())));
}

// The new token and the guesses, in one pass.
Result<std::span<const float>> Decoder::pass(Token token) {
  Token run[kMostDrafted + 1] = {token};
  std::copy(draft_.begin(), draft_.end(), run + 1);
  const size_t n = draft_.size() + 1;
  const auto start = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(rows_, session_.feed_each(std::span(run, n)));
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  length_.passed(static_cast<uint32_t>(n), taken.count());
  ++statistics_.passes;
  return rows_.first(session_.model().hyper.vocabulary);
}

}  // namespace enxuto
