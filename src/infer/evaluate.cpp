#include "infer/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/bytes.h"
#include "infer/scores.h"
#include "media/media_text.h"
#include "models/finite.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

Status check_same_vocabulary(const Model& model, const Model& reference) {
  if (same_vocabulary(model, reference)) return {};
  return Status::bad_input(
      fmt::format("the reference's vocabulary ({} tokens) is not the model's ({})",
                  format_count(reference.hyper.vocabulary), format_count(model.hyper.vocabulary)),
      "compare a model with the one that it was made from");
}

Result<std::vector<Token>> read_tokens(const Model& model, const Tokenizer& tokenizer,
                                       std::string_view text, const EvaluateOptions& options) {
  if (text.ends_with('\n')) text.remove_suffix(1);  // as llama-perplexity reads a file
  std::vector<Token> tokens = encode_named(tokenizer, text, /*add_special=*/true);
  const size_t chunk = options.request.context;
  if (tokens.size() < 2 * chunk)
    return Status::bad_input(
        fmt::format("the text is {} tokens long", format_count(tokens.size())),
        fmt::format("give at least {}: two chunks of {}", format_count(2 * chunk), chunk));
  size_t n_chunks = tokens.size() / chunk;
  if (options.max_chunks) n_chunks = std::min<size_t>(n_chunks, options.max_chunks);
  // Each chunk's first token is known by what it is, not by what precedes it: it gives way to BOS.
  if (tokenizer.adds_bos() && tokenizer.bos() >= 0)
    for (size_t i = 0; i < n_chunks; ++i) tokens[i * chunk] = tokenizer.bos();
  tokens.resize(n_chunks * chunk);
  for (const Token token : tokens)
    if (token < 0 || static_cast<uint32_t>(token) >= model.hyper.vocabulary)
      return Status::bad_input(
          fmt::format("the tokenizer made token {}, which the model does not have", token),
          "the tokenizer and the weights of this file do not belong together");
  return tokens;
}

// One chunk through both models, side by side, a few rows of logits at a time.
class ChunkScorer {
 public:
  // rounding: of the model's layers.
  ChunkScorer(Session& model, Session* reference, Rounding rounding)
      : model_(model), reference_(reference), rounding_(rounding) {}

  Status score(std::span<const Token> chunk, std::vector<RowScore>& scores) {
    const size_t first = chunk.size() / 2;
    for (size_t begin = 0; begin < chunk.size(); begin += model_.batch()) {
      if (interrupted()) return Status::interrupted();
      const size_t end = std::min(begin + model_.batch(), chunk.size());
      model_.set_rounding(rounding_);
      for (Session* session : {&model_, reference_})
        if (session) TRY(run(*session, chunk, begin, end));
      model_.set_rounding(Rounding::kExact);  // run makes no more than one row of logits
      // The last token of a chunk is scored, but predicts nothing in it.
      for (size_t at = std::max(begin, first); at < std::min(end, chunk.size() - 1);
           at += model_.logit_rows())
        TRY(score_rows(chunk, begin, at,
                       std::min({at + model_.logit_rows(), end, chunk.size() - 1}), scores));
    }
    return Status();
  }

 private:
  static Status run(Session& session, std::span<const Token> chunk, size_t begin, size_t end) {
    TRY(session.embed(chunk.subspan(begin, end - begin), static_cast<uint32_t>(begin),
                      session.hidden_buffer()));
    return session.run_layers(0, session.model().hyper.n_layers, static_cast<uint32_t>(begin),
                              static_cast<int64_t>(end - begin), session.hidden_buffer());
  }

  // Rows [at, end) of a pass that began at `begin`.
  Status score_rows(std::span<const Token> chunk, size_t begin, size_t at, size_t end,
                    std::vector<RowScore>& scores) {
    const auto n = static_cast<int64_t>(end - at);
    for (Session* session : {&model_, reference_})
      if (session)
        TRY(session->logits(session->hidden_buffer() + (at - begin) * session->model().hyper.width,
                            n, session->logits_buffer()));
    const size_t vocabulary = model_.model().hyper.vocabulary, before = scores.size();
    scores.resize(before + static_cast<size_t>(n));
    const auto row = [&](Session* session, int64_t i) {
      return session ? std::span<const float>(session->logits_buffer() + i * vocabulary, vocabulary)
                     : std::span<const float>();
    };
    model_.team().parallel_for(n, 1, [&](int64_t i, int64_t, int) {
      scores[before + i] = score_row(row(&model_, i), row(reference_, i), chunk[at + i + 1]);
    });
    return Status();
  }

  Session& model_;
  Session* reference_;
  Rounding rounding_;
};

Result<std::unique_ptr<Session>> open_for_scoring(std::shared_ptr<const Model> model,
                                                  const InferenceRequest& request,
                                                  InputScales scales) {
  if (request.memory_bytes) TRY(check_fits(*model, request, request.memory_bytes));
  ASSIGN_OR_RETURN(auto session, Session::open(std::move(model), request));
  session->set_input_scales(scales);
  return session;
}

}  // namespace

bool same_vocabulary(const Model& model, const Model& other) {
  constexpr const char* kTokens = "tokenizer.ggml.tokens";
  const MetaValue *own = model.metadata.find(kTokens), *its = other.metadata.find(kTokens);
  return model.hyper.vocabulary == other.hyper.vocabulary && own && its &&
         std::ranges::equal(own->payload, its->payload);
}

Result<Evaluation> evaluate(std::shared_ptr<const Model> model, const Tokenizer& tokenizer,
                            std::shared_ptr<const Model> reference, std::string_view text,
                            const EvaluateOptions& options, const Progress& progress) {
  if (options.request.context < 4)
    return Status::usage("chunks of fewer than 4 tokens score nothing");
  if (reference) TRY(check_same_vocabulary(*model, *reference));
  ASSIGN_OR_RETURN(const std::vector<Token> tokens, read_tokens(*model, tokenizer, text, options));
  ASSIGN_OR_RETURN(Evaluation evaluation, evaluate_tokens(std::move(model), std::move(reference),
                                                          tokens, options, progress));
  const size_t chunk = options.request.context;
  for (size_t i = 0; i < tokens.size(); ++i)  // what ChunkScorer scores
    if (i % chunk > chunk / 2) evaluation.scored_bytes += tokenizer.piece(tokens[i], true).size();
  evaluation.bits_per_byte = std::log2(evaluation.perplexity) *
                             static_cast<double>(evaluation.scored_tokens) /
                             static_cast<double>(std::max<uint64_t>(evaluation.scored_bytes, 1));
  return evaluation;
}

Result<Evaluation> evaluate_tokens(std::shared_ptr<const Model> model,
                                   std::shared_ptr<const Model> reference,
                                   std::span<const Token> tokens, const EvaluateOptions& options,
                                   const Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  const uint32_t chunk_tokens = options.request.context;
  const EvaluationRequests requests = share_evaluation(options.request, reference != nullptr);
  const auto scales = options.as_run ? InputScales::kFine : InputScales::kOfLlamaCpp;
  ASSIGN_OR_RETURN(const auto session, open_for_scoring(model, requests.model, scales));
  std::unique_ptr<Session> other;
  if (reference) {
    ASSIGN_OR_RETURN(other,
                     open_for_scoring(reference, requests.reference, InputScales::kOfLlamaCpp));
  }
  const size_t n_chunks = tokens.size() / chunk_tokens;
  std::vector<RowScore> scores;
  ChunkScorer scorer(*session, other.get(), options.as_run ? Rounding::kFastest : Rounding::kExact);
  for (size_t i = 0; i < n_chunks; ++i) {
    if (progress) progress("evaluating", static_cast<double>(i) / static_cast<double>(n_chunks));
    TRY(scorer.score(tokens.subspan(i * chunk_tokens, chunk_tokens), scores));
  }
  if (progress) progress("evaluating", 1);
  Evaluation evaluation = summarize(scores, reference != nullptr);
  evaluation.chunks = static_cast<uint32_t>(n_chunks);
  evaluation.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  constexpr double kMost = 1e300;  // beyond: infinite, or no number
  if (!(evaluation.perplexity < kMost)) return explain_no_numbers(*model, session->team());
  if (other && !(evaluation.reference_perplexity < kMost))
    return explain_no_numbers(*reference, other->team()).in("the reference");
  return evaluation;
}

}  // namespace enxuto
