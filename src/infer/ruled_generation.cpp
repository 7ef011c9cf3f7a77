#include "infer/ruled_generation.h"

#include <algorithm>

#include "platform/interrupt.h"

namespace enxuto {
namespace {

// One sequence in a session, whatever its length.
class Sequence {
 public:
  Sequence(Session& session, std::span<const Token> prompt)
      : session_(session), tokens_(prompt.begin(), prompt.end()) {
    session.rewind(0);
    if (tokens_.size() >= session.context()) forget_older();
  }

  Result<std::span<const float>> begin() { return session_.feed(tokens_); }

  Result<std::span<const float>> add(Token token) {
    tokens_.push_back(token);
    if (session_.n_tokens() < session_.context()) return session_.feed({&token, 1});
    forget_older();
    session_.rewind(0);
    return session_.feed(tokens_);
  }

 private:
  void forget_older() { tokens_.erase(tokens_.begin(), tokens_.end() - session_.context() / 2); }

  Session& session_;
  std::vector<Token> tokens_;
};

// out += scale × (told − out)
void guide(std::span<const float> told, float scale, std::vector<float>& out) {
  for (size_t i = 0; i < out.size(); ++i) out[i] += scale * (told[i] - out[i]);
}

}  // namespace

Result<std::vector<Token>> generate(Session& session, const RuledRequest& request,
                                    TokenRules& rules, const std::function<Status(Token)>& tell) {
  const Guidance& guidance = request.guidance;
  Sequence told(session, request.prompt);
  std::optional<Sequence> untold;
  std::vector<float> guided;
  if (guidance.session) untold.emplace(*guidance.session, guidance.prompt);
  Sampler sampler(request.sampling);
  std::vector<Token> written;
  ASSIGN_OR_RETURN(std::span<const float> logits, told.begin());
  for (bool first = true;; first = false) {
    if (interrupted()) return Status::interrupted();
    const TokenSet& allowed = rules.allowed();
    if (allowed.empty() || written.size() >= request.most_tokens) return written;
    if (untold) {
      ASSIGN_OR_RETURN(const auto without, first ? untold->begin() : untold->add(written.back()));
      guided.assign(without.begin(), without.end());
      guide(logits, guidance.scale, guided);
      logits = guided;
    }
    const Token token = sampler.sample(logits, allowed);
    sampler.accept(token);
    rules.accept(token);
    written.push_back(token);
    TRY(tell(token));
    ASSIGN_OR_RETURN(logits, told.add(token));
  }
}

}  // namespace enxuto
