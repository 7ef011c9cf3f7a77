#include "compress/sensitivity.h"

#include <algorithm>
#include <cmath>

#include "compress/coarse_copy.h"
#include "compress/head_divergence.h"
#include "compress/kept_probes.h"
#include "compress/kept_stages.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

// Below this nothing is measured but rounding in the arithmetic.
constexpr double kLeastKld = 1e-9;

// Of a chunk its second half is scored: there, enough context has been seen.
size_t scored_rows(const std::vector<Token>& chunk) { return (chunk.size() + 1) / 2; }

// State 0 is the undisturbed model's; state 1 + i that of the model with weight i made coarse.
class Probes {
 public:
  Probes(const Workbench& bench, const std::vector<Weight>& weights, const Importance& importance,
         const std::vector<std::vector<Token>>& chunks)
      : bench_(bench),
        session_(bench.session),
        hyper_(bench.model().hyper),
        weights_(weights),
        importance_(importance),
        chunks_(chunks) {
    for (const auto& chunk : chunks) n_scored_ += scored_rows(chunk);
    for (const Weight& weight : weights) {
      const Codec* codec = probe_codec(*weight.tensor);
      codecs_.push_back(codec && codec->type != weight.tensor->type ? codec : nullptr);
    }
    total_work_ = hyper_.n_layers;
    for (size_t i = 0; i < weights.size(); ++i)
      if (codecs_[i]) total_work_ += hyper_.n_layers - first_layer(weights[i]) + head_work();
  }

  Result<std::vector<Sensitivity>> run() {
    ASSIGN_OR_RETURN(const auto known, take_klds(bench_, weights_.size()));
    if (known) {
      bench_.state->begins("probing", hyper_.n_layers + 1, hyper_.n_layers + 1);
      return with_codecs(*known);
    }
    ASSIGN_OR_RETURN(
        states_, bench_.take_states(1 + weights_.size(), uint64_t{bench_.plan.shape.probe_tokens} *
                                                             bench_.plan.shape.probe_chunks));
    ASSIGN_OR_RETURN(const uint32_t first, layer_of_states(bench_, record::kProbes));
    if (bench_.state) bench_.state->begins("probing", first, hyper_.n_layers + 1);
    TRY(first > 0 ? resume(first) : begin());
    TRY(run_layers(first));
    TRY(score());
    std::vector<double> klds(weights_.size());
    for (size_t i = 0; i < klds.size(); ++i) {
      if (!codecs_[i]) continue;
      for (size_t r = 0; r < n_scored_; ++r)
        klds[i] += disturbed_[i * n_scored_ + r].kld(references_[r]);
      klds[i] = std::max(klds[i] / static_cast<double>(n_scored_), kLeastKld);
    }
    TRY(keep_klds(bench_, klds));
    return with_codecs(klds);
  }

 private:
  std::vector<Sensitivity> with_codecs(const std::vector<double>& klds) const {
    std::vector<Sensitivity> all(klds.size());
    for (size_t i = 0; i < all.size(); ++i)
      if (codecs_[i]) all[i] = {klds[i], codecs_[i]};
    return all;
  }

  const float* importance_of(const Weight& weight) const {
    return weight.input ? importance_.at(weight.input).data() : nullptr;
  }
  // A state of its own from this layer on; a head's is the undisturbed one.
  uint32_t first_layer(const Weight& weight) const { return weight.embeds ? 0 : weight.layer; }

  // In units of one layer's.
  double head_work() const {
    uint64_t layer = 1;
    for (const Weight& weight : weights_)
      if (weight.layer == 0 && !weight.embeds) layer += weight.tensor->count();
    return static_cast<double>(bench_.model().output->count()) / 2 / static_cast<double>(layer);
  }
  void tell(double work) {
    done_work_ += work;
    if (bench_.progress) bench_.progress("probing", std::min(1.0, done_work_ / total_work_));
  }

  // What each chunk's tokens are, before the first layer.
  Status begin() {
    ASSIGN_OR_RETURN(float* state, states_.load(0));
    for (const auto& chunk : chunks_) {
      TRY(session_.embed(chunk, 0, state));
      state += chunk.size() * hyper_.width;
    }
    TRY(states_.store(0));
    for (size_t i = 0; i < weights_.size(); ++i)
      if (weights_[i].embeds && codecs_[i]) TRY(embed_coarsely(i));
    return {};
  }

  Status embed_coarsely(size_t i) {
    ASSIGN_OR_RETURN(float* row, states_.load(1 + i));
    for (const auto& chunk : chunks_) {
      float* first = row;
      for (const Token token : chunk) {
        ASSIGN_OR_RETURN(const Tensor exact,
                         bench_.reader.rows(*weights_[i].tensor, static_cast<uint64_t>(token), 1));
        decode_row(exact, 0, row);
        make_coarse(*codecs_[i], importance_of(weights_[i]), {row, hyper_.width});
        for (uint32_t c = 0; c < hyper_.width; ++c) row[c] *= hyper_.embedding_scale;
        row += hyper_.width;
      }
      session_.add_positions(0, static_cast<int64_t>(chunk.size()), first);
    }
    return states_.store(1 + i);
  }

  // States that differ from the undisturbed one, and that one.
  std::vector<size_t> states_before(uint32_t layer) const {
    std::vector<size_t> which = {0};
    for (size_t i = 0; i < weights_.size(); ++i)
      if (codecs_[i] && first_layer(weights_[i]) < layer) which.push_back(1 + i);
    return which;
  }
  uint64_t floats_of_state() const {
    uint64_t tokens = 0;
    for (const auto& chunk : chunks_) tokens += chunk.size();
    return tokens * hyper_.width;
  }
  // As they were kept before a layer.
  Status resume(uint32_t layer) {
    for (const size_t s : states_before(layer))
      done_work_ += layer - (s == 0 ? 0 : first_layer(weights_[s - 1]));
    return take_states(bench_, record::kProbes, states_, states_before(layer), floats_of_state());
  }

  Status run_layers(uint32_t first) {
    uint64_t most = 0;
    for (size_t i = 0; i < weights_.size(); ++i)
      if (codecs_[i] && !weights_[i].embeds && weights_[i].layer < hyper_.n_layers)
        most = std::max(most, codecs_[i]->row_bytes(weights_[i].tensor->columns()) *
                                  weights_[i].tensor->rows());
    ASSIGN_OR_RETURN(const auto coarse, bench_.take<uint8_t>(most));
    for (uint32_t l = first; l < hyper_.n_layers; ++l) {
      TRY(session_.hold_layer(l));
      for (size_t i = 0; i < weights_.size(); ++i) {
        const Weight& weight = weights_[i];
        if (!codecs_[i]) continue;
        if (first_layer(weight) < l || (weight.embeds && l == 0)) {
          ASSIGN_OR_RETURN(float* state, states_.load(1 + i));
          TRY(run_layer(l, state));
          TRY(states_.store(1 + i));
        } else if (first_layer(weight) == l) {
          TRY(disturb(i, coarse));
        }
      }
      ASSIGN_OR_RETURN(float* own, states_.load(0));
      TRY(run_layer(l, own));
      TRY(states_.store(0));
      session_.let_go();
      TRY(keep_states(bench_, record::kProbes, l + 1, states_, states_before(l + 1),
                      floats_of_state()));
    }
    return {};
  }

  Status run_layer(uint32_t l, float* state) {
    for (const auto& chunk : chunks_) {
      if (interrupted()) return Status::interrupted();
      TRY(session_.run_layers(l, l + 1, 0, static_cast<int64_t>(chunk.size()), state));
      state += chunk.size() * hyper_.width;
    }
    tell(1);
    return {};
  }

  // The weight's own layer, on what the undisturbed model hands it.
  Status disturb(size_t i, std::span<uint8_t> memory) {
    const Weight& weight = weights_[i];
    ASSIGN_OR_RETURN(const CoarseCopy copy,
                     CoarseCopy::of(bench_, *weight.tensor, importance_of(weight), memory));
    ASSIGN_OR_RETURN(float* state, states_.copy(0, 1 + i));
    session_.set_hooks(copy.hooks(*weight.tensor));
    const Status status = run_layer(weight.layer, state);
    session_.set_hooks({});
    TRY(status);
    return states_.store(1 + i);
  }

  // The head, slice by slice over the vocabulary, for all states.
  Status score() {
    for (size_t s = 0; s <= weights_.size(); ++s)
      if (s == 0 || has_state(s - 1)) TRY(norm_scored(s));
    const Tensor& head = *bench_.model().output;
    const uint64_t slice = bench_.reader.at_once(head);
    const Codec* codec = probe_codec(head);
    ASSIGN_OR_RETURN(coarse_,
                     bench_.take<uint8_t>(codec ? slice * codec->row_bytes(head.columns()) : 0));
    for (std::span<float>* logits : {&logits_, &weights_of_logits_, &other_logits_}) {
      ASSIGN_OR_RETURN(*logits, bench_.take<float>(n_scored_ * slice));
    }
    references_.resize(n_scored_);
    disturbed_.resize(n_scored_ * weights_.size());
    ASSIGN_OR_RETURN(const uint64_t done, take_sums(bench_, references_, disturbed_));
    return bench_.reader.for_pieces(head, [&](uint64_t first, const Tensor& rows) -> Status {
      if (first < done) return {};
      TRY(score_slice(rows));
      return keep_sums(bench_, first + rows.rows(), references_, disturbed_);
    });
  }

  bool has_state(size_t i) const {
    return codecs_[i] && (weights_[i].embeds || weights_[i].layer < hyper_.n_layers);
  }

  // Leaves the normed scored rows of a state at its beginning, as the head reads them.
  Status norm_scored(size_t s) {
    ASSIGN_OR_RETURN(float* state, states_.load(s));
    const float* from = state;
    for (const auto& chunk : chunks_) {
      const size_t n = scored_rows(chunk), width = hyper_.width;
      float* normed = session_.hidden_buffer();
      session_.final_norm(from + (chunk.size() - n) * width, static_cast<int64_t>(n), normed);
      state = std::copy_n(normed, n * width, state);
      from += chunk.size() * width;
    }
    return states_.store(s);
  }

  Status score_slice(const Tensor& rows) {
    const MatrixView exact = {rows.type, rows.data.data(), static_cast<int64_t>(rows.rows()),
                              static_cast<int64_t>(rows.columns()), rows.row_bytes()};
    const size_t n = rows.rows();
    TRY(head_of(0, exact, logits_));
    session_.team().parallel_for(static_cast<int64_t>(n_scored_), 1, [&](int64_t r, int64_t, int) {
      references_[r].add(logits_.subspan(r * n, n), weights_of_logits_.subspan(r * n, n));
    });
    for (size_t i = 0; i < weights_.size(); ++i) {
      if (interrupted()) return Status::interrupted();
      if (!codecs_[i]) continue;
      MatrixView view = exact;
      if (weights_[i].layer == hyper_.n_layers)
        view =
            CoarseCopy::of_rows(rows, importance_of(weights_[i]), session_.team(), coarse_).view();
      TRY(head_of(has_state(i) ? 1 + i : 0, view, other_logits_));
      session_.team().parallel_for(
          static_cast<int64_t>(n_scored_), 1, [&](int64_t r, int64_t, int) {
            disturbed_[i * n_scored_ + r].add(references_[r], logits_.subspan(r * n, n),
                                              weights_of_logits_.subspan(r * n, n),
                                              other_logits_.subspan(r * n, n));
          });
      tell(head_work() * static_cast<double>(n) /
           static_cast<double>(bench_.model().output->rows()));
    }
    return {};
  }

  // logits: (n_scored, rows of the slice)
  Status head_of(size_t s, const MatrixView& slice, std::span<float> logits) {
    ASSIGN_OR_RETURN(const float* normed, states_.load(s, n_scored_ * hyper_.width));
    for (size_t r = 0; r < n_scored_; r += session_.batch()) {
      const size_t n = std::min<size_t>(session_.batch(), n_scored_ - r);
      session_.multiply(slice, normed + r * hyper_.width, static_cast<int64_t>(n),
                        logits.data() + r * static_cast<size_t>(slice.rows));
    }
    const float cap = hyper_.final_logit_softcap;
    if (cap != 0.0f)
      for (float& z : logits.first(n_scored_ * static_cast<size_t>(slice.rows)))
        z = cap * std::tanh(z / cap);
    return {};
  }

  const Workbench& bench_;
  Session& session_;
  const HyperParameters& hyper_;
  const std::vector<Weight>& weights_;
  const Importance& importance_;
  const std::vector<std::vector<Token>>& chunks_;
  std::vector<const Codec*> codecs_;  // per weight; null: not probed
  HiddenStates states_;
  size_t n_scored_ = 0;
  double done_work_ = 0, total_work_ = 0;
  // The slice of the head that is at hand, and the sums over those before it.
  std::span<uint8_t> coarse_;
  std::span<float> logits_, weights_of_logits_, other_logits_;
  std::vector<ReferenceRow> references_;
  std::vector<DisturbedRow> disturbed_;
};

}  // namespace

Result<std::vector<Sensitivity>> measure_sensitivity(
    const Workbench& bench, const std::vector<Weight>& weights, const Importance& importance,
    const std::vector<std::vector<Token>>& chunks) {
  const Survey& survey = bench.plan.survey;
  std::vector<Weight> surveyed;
  for (const Weight& weight : weights)
    if (survey.has(*weight.tensor)) surveyed.push_back(weight);
  ASSIGN_OR_RETURN(const auto probed, Probes(bench, surveyed, importance, chunks).run());
  std::vector<Sensitivity> all;
  for (auto next = probed.begin(); const Weight& weight : weights)
    all.push_back(survey.has(*weight.tensor) ? *next++ : Sensitivity());
  return all;
}

}  // namespace enxuto
