#include "compress/sensitivity.h"

#include <algorithm>

#include "infer/scores.h"
#include "plan/goal.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

// Below this nothing is measured but rounding in the arithmetic.
constexpr double kLeastKld = 1e-9;

// A whole tensor in another format, in memory.
class CoarseCopy {
 public:
  CoarseCopy(const Tensor& tensor, const Codec& codec, const float* importance, ThreadTeam& team)
      : tensor_(&tensor), blocks_(tensor.rows() * codec.row_bytes(tensor.columns())) {
    const uint64_t row_bytes = codec.row_bytes(tensor.columns());
    team.parallel_for(
        static_cast<int64_t>(tensor.rows()), 16, [&](int64_t begin, int64_t end, int) {
          std::vector<float> row(tensor.columns());
          for (int64_t i = begin; i < end; ++i) {
            decode_row(tensor, static_cast<uint64_t>(i), row.data());
            codec.encode(row.data(), importance,
                         blocks_.data() + static_cast<uint64_t>(i) * row_bytes, row.size());
          }
        });
    view_ = {codec.type, blocks_.data(), static_cast<int64_t>(tensor.rows()),
             static_cast<int64_t>(tensor.columns()), row_bytes};
  }

  ForwardHooks hooks() const {
    ForwardHooks hooks;
    hooks.replacement = [this](const Tensor& asked) {
      return &asked == tensor_ ? &view_ : nullptr;
    };
    return hooks;
  }

 private:
  const Tensor* tensor_;
  std::vector<uint8_t> blocks_;
  MatrixView view_;
};

// The undisturbed model on the held-out chunks: hidden states before every layer, and logits of the
// second half of each chunk (there, enough context has been seen).
class Probe {
 public:
  Probe(Session& session, const std::vector<std::vector<Token>>& chunks)
      : session_(session), chunks_(chunks), hyper_(session.model().hyper) {}

  Status prepare() {
    size_t tokens = 0, rows = 0;
    for (const auto& chunk : chunks_) tokens += chunk.size(), rows += scored_rows(chunk);
    states_.assign(hyper_.n_layers + 1, {});
    for (auto& states : states_) states.reserve(tokens * hyper_.width);
    logits_.reserve(rows * hyper_.vocabulary);
    for (const auto& chunk : chunks_) {
      const auto n = static_cast<int64_t>(chunk.size());
      float* hidden = session_.hidden_buffer();
      TRY(session_.embed(chunk, hidden));
      for (uint32_t l = 0; l <= hyper_.n_layers; ++l) {
        if (interrupted()) return Status::interrupted();
        states_[l].insert(states_[l].end(), hidden, hidden + n * hyper_.width);
        if (l == hyper_.n_layers) break;
        TRY(session_.run_layers(l, l + 1, 0, n, hidden));
        release_pages_of(session_.model(), l);
      }
      const size_t before = logits_.size(), vocabulary = hyper_.vocabulary;
      logits_.resize(before + scored_rows(chunk) * vocabulary);
      TRY(for_scored_rows(chunk, [&](size_t row, std::span<const float> logits) {
        std::copy(logits.begin(), logits.end(), logits_.begin() + before + row * vocabulary);
      }));
    }
    return Status();
  }

  // Mean KL divergence of the model with `hooks` from the undisturbed one, where they change
  // something from `layer` on.
  Result<double> kld(const Weight& weight, ForwardHooks hooks) {
    session_.set_hooks(std::move(hooks));
    const Result<double> result = disturbed_kld(weight);
    session_.set_hooks({});
    return result;
  }

 private:
  Result<double> disturbed_kld(const Weight& weight) {
    const uint32_t first = weight.embeds ? 0 : weight.layer;
    float* hidden = session_.hidden_buffer();
    const size_t vocabulary = hyper_.vocabulary;
    double sum = 0;
    size_t rows = 0, state = 0;
    for (const auto& chunk : chunks_) {
      const auto n = static_cast<int64_t>(chunk.size());
      if (weight.embeds)
        TRY(session_.embed(chunk, hidden));
      else
        std::copy_n(states_[first].begin() + state, n * hyper_.width, hidden);
      state += chunk.size() * hyper_.width;
      for (uint32_t l = first; l < hyper_.n_layers; ++l) {
        if (interrupted()) return Status::interrupted();
        TRY(session_.run_layers(l, l + 1, 0, n, hidden));
        release_pages_of(session_.model(), l);
      }
      std::vector<double> klds(scored_rows(chunk));
      TRY(for_scored_rows(chunk, [&](size_t row, std::span<const float> logits) {
        const std::span<const float> own(logits_.data() + (rows + row) * vocabulary, vocabulary);
        klds[row] = score_row(logits, own, 0).kld;
      }));
      for (const double kld : klds) sum += kld;
      rows += klds.size();
    }
    return sum / static_cast<double>(rows);
  }

  static size_t scored_rows(const std::vector<Token>& chunk) { return (chunk.size() + 1) / 2; }

  // body(row, logits), by threads: it writes what is the row's own.
  template <class Body>
  Status for_scored_rows(const std::vector<Token>& chunk, const Body& body) {
    const size_t n = scored_rows(chunk), first = chunk.size() - n, vocabulary = hyper_.vocabulary;
    for (size_t at = 0; at < n; at += session_.logit_rows()) {
      const auto some = static_cast<int64_t>(std::min<size_t>(session_.logit_rows(), n - at));
      TRY(session_.logits(session_.hidden_buffer() + (first + at) * hyper_.width, some,
                          session_.logits_buffer()));
      session_.team().parallel_for(some, 1, [&](int64_t i, int64_t, int) {
        body(at + static_cast<size_t>(i),
             std::span<const float>(session_.logits_buffer() + static_cast<size_t>(i) * vocabulary,
                                    vocabulary));
      });
    }
    return Status();
  }

  Session& session_;
  const std::vector<std::vector<Token>>& chunks_;
  const HyperParameters& hyper_;
  std::vector<std::vector<float>> states_;  // per layer: (tokens of all chunks, width)
  std::vector<float> logits_;               // (scored rows of all chunks, vocabulary)
};

}  // namespace

Result<std::vector<Sensitivity>> measure_sensitivity(Session& session,
                                                     const std::vector<Weight>& weights,
                                                     const Importance& importance,
                                                     const std::vector<std::vector<Token>>& chunks,
                                                     const Progress& progress) {
  Probe probe(session, chunks);
  TRY(probe.prepare());
  std::vector<Sensitivity> all;
  for (const Weight& weight : weights) {
    if (progress)
      progress("probing", static_cast<double>(all.size()) / static_cast<double>(weights.size()));
    const Codec* codec = probe_codec(*weight.tensor);
    Sensitivity& sensitivity = all.emplace_back();
    if (!codec || codec->type == weight.tensor->type) {
      continue;
    }
    const float* columns = weight.input ? importance.at(weight.input).data() : nullptr;
    const CoarseCopy copy(*weight.tensor, *codec, columns, session.team());
    ASSIGN_OR_RETURN(const double kld, probe.kld(weight, copy.hooks()));
    release_pages_of(session.model(), *weight.tensor);
    sensitivity = {std::max(kld, kLeastKld), codec};
  }
  return all;
}

}  // namespace enxuto
