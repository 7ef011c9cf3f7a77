// prune: parts that do nothing go and nothing changes, whatever lies between; sizes are obeyed.
#include "prune/prune.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "base/bytes.h"
#include "compress/calibration_text.h"
#include "compress/weights.h"
#include "models/hf_export.h"
#include "prune/pruned_file.h"
#include "prune/shape_search.h"
#include "tests/budget/budget.h"

namespace enxuto {
namespace {

class Prune : public CompressBudget {
 protected:
  Result<PruneReport> prune_model(const std::shared_ptr<const Model>& model, PruneRequest request) {
    request.effort = Effort::kFast;
    request.replace_output = true;
    request.n_threads = 2;
    return prune(model, out(), request, {});
  }

  std::shared_ptr<const Model> written() {
    auto loaded = open_model(out());
    EXPECT_TRUE(loaded.ok()) << loaded.status().what();
    return loaded.ok() ? *loaded : nullptr;
  }
};

// Columns of a matrix (columns, rows) that nothing comes out of.
void silence(TinyTensor& matrix, const std::vector<uint32_t>& columns) {
  for (uint64_t r = 0; r < matrix.shape[1]; ++r)
    for (const uint32_t c : columns) matrix.values[r * matrix.shape[0] + c] = 0;
}

std::vector<uint32_t> range(uint32_t begin, uint32_t end) {
  std::vector<uint32_t> all(end - begin);
  std::iota(all.begin(), all.end(), begin);
  return all;
}

// Every third channel up to as many.
std::vector<uint32_t> scattered(uint32_t count) {
  std::vector<uint32_t> all;
  for (uint32_t i = 0; i < count; ++i) all.push_back(1 + 2 * i);
  return all;
}

// Each second channel does what the one before it does.
void double_channels(TinyModel& tiny) {
  for (uint32_t l = 0; l < tiny.n_layers; ++l)
    for (const char* name : {"gate", "up"}) {
      TinyTensor& rows = *tiny.find(fmt::format("blk.{}.ffn_{}.weight", l, name));
      const uint64_t width = rows.shape[0];
      for (uint64_t r = 0; r + 1 < rows.shape[1]; r += 2)
        std::copy_n(rows.values.begin() + static_cast<int64_t>(r * width), width,
                    rows.values.begin() + static_cast<int64_t>((r + 1) * width));
    }
}

class PruneOf : public Prune, public testing::WithParamInterface<const char*> {};

// Layers come out of different widths, one of them without attention; q and k of a qwen2 change the
// order of their rows on the way. A layer's first heads are silent, so that the others move.
TEST_P(PruneOf, IdlePartsGoAndNothingChanges) {
  TinyModel tiny = tiny_model({.architecture = GetParam(), .attention_bias = true, .seed = 4});
  ModelShape left;
  for (uint32_t l = 0; l < tiny.n_layers; ++l) {
    const TinyWidths w = tiny.widths(l);
    left.layers.push_back({l, w.n_kv_heads, w.ffn_width});
  }
  silence(*tiny.find("blk.0.ffn_down.weight"), scattered(64));
  left.layers[0].channels -= 64;
  const TinyWidths w1 = tiny.widths(1);
  silence(*tiny.find("blk.1.attn_output.weight"),
          range(0, w1.n_heads / w1.n_kv_heads * tiny.head_dim));
  left.layers[1].kv_heads -= 1;
  const uint32_t last = tiny.n_layers - 1;
  silence(*tiny.find(fmt::format("blk.{}.attn_output.weight", last)),
          range(0, tiny.widths(last).n_heads * tiny.head_dim));
  left.layers[last].kv_heads = 0;
  const TemporaryModel model(tiny, Type::F32);
  const double share = static_cast<double>(layer_bytes(*model.get(), left)) /
                       static_cast<double>(layer_bytes(*model.get(), whole_shape(*model.get())));
  PruneRequest request;
  request.remove = 1 - share - 1e-9;
  const auto report = prune_model(model.get(), request);
  ASSERT_TRUE(report.ok()) << report.status().what();
  EXPECT_EQ(report->architecture, "deci");
  ASSERT_EQ(report->shape.layers.size(), left.layers.size());
  for (size_t l = 0; l < left.layers.size(); ++l) {
    EXPECT_EQ(report->shape.layers[l].kv_heads, left.layers[l].kv_heads) << l;
    EXPECT_EQ(report->shape.layers[l].channels, left.layers[l].channels) << l;
  }
  const auto after = written();
  ASSERT_TRUE(after);
  EXPECT_EQ(after->file_bytes, report->file_bytes);
  EXPECT_EQ(after->layers[last].q, nullptr);
  EXPECT_LT(relative_difference(logits_of(model.get()), logits_of(after)), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Each, PruneOf, testing::Values("llama", "qwen2", "deci"),
                         [](const auto& of) { return std::string(of.param); });

TEST_F(Prune, UniformLayersKeepTheArchitecture) {
  for (const char* architecture : {"llama", "qwen3", "gemma3", "gpt2"}) {
    TinyModel tiny = tiny_model({.architecture = architecture});
    for (uint32_t l = 0; l < tiny.n_layers; ++l)
      silence(*tiny.find(fmt::format("blk.{}.ffn_down.weight", l)), scattered(32));
    const TemporaryModel model(tiny, Type::F32);
    ModelShape left = whole_shape(*model.get());
    for (LayerShape& layer : left.layers) layer.channels -= 32;
    PruneRequest request;
    request.what = PruneWhat::kChannels;
    request.uniform = true;
    request.remove = 1 -
                     static_cast<double>(layer_bytes(*model.get(), left)) /
                         static_cast<double>(layer_bytes(*model.get(), whole_shape(*model.get()))) -
                     1e-9;
    const auto report = prune_model(model.get(), request);
    ASSERT_TRUE(report.ok()) << report.status().what();
    EXPECT_EQ(report->architecture, architecture);
    const auto after = written();
    ASSERT_TRUE(after);
    EXPECT_EQ(after->hyper.ffn_width, tiny.ffn_width - 32);
    EXPECT_LT(relative_difference(logits_of(model.get()), logits_of(after)), 1e-3);
  }
}

// Channels of a gpt2 that are the same for all tokens: a bias gives what they gave.
TEST_F(Prune, ABiasMakesUpForWhatIsAlwaysThere) {
  TinyModel tiny = tiny_model({.architecture = "gpt2"});
  for (uint32_t l = 0; l < tiny.n_layers; ++l) {
    TinyTensor& up = *tiny.find(fmt::format("blk.{}.ffn_up.weight", l));
    TinyTensor& bias = *tiny.find(fmt::format("blk.{}.ffn_up.bias", l));
    for (const uint32_t c : scattered(32)) {
      std::fill_n(up.values.begin() + c * tiny.options.width, tiny.options.width, 0.0f);
      bias.values[c] = 1.0f;
    }
  }
  const TemporaryModel model(tiny, Type::F32);
  PruneRequest request;
  request.what = PruneWhat::kChannels;
  request.uniform = true;
  request.remove = 1e-3;
  const auto report = prune_model(model.get(), request);
  ASSERT_TRUE(report.ok()) << report.status().what();
  const auto after = written();
  ASSERT_TRUE(after);
  EXPECT_EQ(after->hyper.ffn_width, tiny.ffn_width - 32);
  const double fitted = relative_difference(logits_of(model.get()), logits_of(after));
  EXPECT_LT(fitted, 5e-3);
  request.recover = false;
  ASSERT_TRUE(prune_model(model.get(), request).ok());
  EXPECT_LT(fitted, 0.1 * relative_difference(logits_of(model.get()), logits_of(written())));
}

// A block that adds nothing is found and goes.
TEST_F(Prune, IdleBlocksGoAndNothingChanges) {
  for (const char* architecture : {"llama", "gpt2"}) {
    TinyModel tiny = tiny_model({.architecture = architecture, .n_layers = 5});
    for (const uint32_t l : {1u, 3u})
      for (const char* name : {"ffn_down", "attn_output"})
        for (const char* kind : {"weight", "bias"})
          if (TinyTensor* t = tiny.find(fmt::format("blk.{}.{}.{}", l, name, kind)))
            std::ranges::fill(t->values, 0.0f);
    const TemporaryModel model(tiny, Type::F32);
    PruneRequest request;
    request.what = PruneWhat::kBlocks;
    request.remove = 0.4;
    const auto report = prune_model(model.get(), request);
    ASSERT_TRUE(report.ok()) << report.status().what();
    const auto after = written();
    ASSERT_TRUE(after);
    ASSERT_EQ(after->hyper.n_layers, 3u);
    EXPECT_EQ(report->shape.layers[1].layer, 2u);
    EXPECT_LT(relative_difference(logits_of(model.get()), logits_of(after)), 1e-5);
  }
}

// Of two channels that do the same one can go, if the other then does the work of both.
TEST_F(Prune, RecoversByLeastSquares) {
  TinyModel tiny = tiny_model({.architecture = "llama", .seed = 9});
  double_channels(tiny);
  const TemporaryModel model(tiny, Type::F32);
  PruneRequest request;
  request.what = PruneWhat::kChannels;
  request.remove = 0.2;
  const auto fitted = prune_model(model.get(), request);
  ASSERT_TRUE(fitted.ok()) << fitted.status().what();
  request.recover = false;
  const auto plain = prune_model(model.get(), request);
  ASSERT_TRUE(plain.ok()) << plain.status().what();
  EXPECT_LT(fitted->kld, 0.1 * plain->kld);
}

TEST_F(Prune, FilesAreNeverLargerThanTheirSize) {
  for (const Type type : {Type::F16, Type::Q8_0, Type::Q4_0}) {
    const TemporaryModel model({.architecture = "llama"}, type);
    for (const double share : {0.9, 0.75}) {
      PruneRequest request;
      request.size_bytes =
          static_cast<uint64_t>(share * static_cast<double>(model.get()->file_bytes));
      const auto report = prune_model(model.get(), request);
      ASSERT_TRUE(report.ok()) << report.status().what() << "; " << report.status().todo();
      EXPECT_LE(report->file_bytes, request.size_bytes);
      const auto after = written();
      ASSERT_TRUE(after);
      EXPECT_EQ(after->file_bytes, report->file_bytes);
      EXPECT_EQ(after->layers[0].gate->type, type);
    }
  }
}

TEST_F(Prune, TheSameWhateverTheThreadsAndWhereWeightsLie) {
  const TemporaryModel model({.architecture = "llama", .n_layers = 6}, Type::F16);
  std::vector<std::vector<float>> answers;
  for (const int n_threads : {1, 2, 3}) {
    PruneRequest request;
    request.effort = Effort::kFast;
    request.remove = 0.25;
    request.n_threads = n_threads;
    request.replace_output = true;
    if (n_threads == 3) {
      const auto least = plan_pruning(*model.get(), {.n_threads = 3,
                                                     .effort = Effort::kFast,
                                                     .memory_bytes = 1,
                                                     .fits_columns = true,
                                                     .probes_parts = true});
      ASSERT_TRUE(least.ok());
      EXPECT_TRUE(least->streams);
      request.memory_bytes = least->map.total_bytes() + 64 * kKiB;
    }
    const auto report = prune(model.get(), out(), request, {});
    ASSERT_TRUE(report.ok()) << report.status().what();
    answers.push_back(logits_of(written()));
  }
  EXPECT_EQ(answers[0], answers[1]);
  EXPECT_EQ(answers[0], answers[2]);
}

// Text whose tokens all stay is told as before, by rows that have moved.
TEST_F(Prune, TokensGoAndTheOthersAnswerAsBefore) {
  for (const char* architecture : {"qwen2", "gpt2"}) {
    const TemporaryModel model({.architecture = architecture}, Type::F16);
    PruneRequest request;
    request.what = PruneWhat::kVocabulary;
    for (int i = 0; i < 200; ++i) request.calibration_text += "the other thing in the end; ";
    request.remove = 0.05;
    const auto report = prune_model(model.get(), request);
    ASSERT_TRUE(report.ok()) << report.status().what();
    const auto after = written();
    ASSERT_TRUE(after);
    ASSERT_LE(after->hyper.vocabulary, model.get()->hyper.vocabulary * 95 / 100);
    ASSERT_EQ(after->hyper.vocabulary, report->shape.tokens.size());
    const auto logits_after = [](const std::shared_ptr<const Model>& of) {
      const auto tokenizer = Tokenizer::create(of->metadata);
      EXPECT_TRUE(tokenizer.ok());
      InferenceRequest run;
      run.context = 64;
      const auto session = Session::open(of, run);
      EXPECT_TRUE(session.ok());
      const auto logits = (*session)->feed((*tokenizer)->encode("the other end", false, false));
      EXPECT_TRUE(logits.ok());
      return std::vector<float>(logits->begin(), logits->end());
    };
    const auto before = logits_after(model.get()), now = logits_after(after);
    for (size_t i = 0; i < now.size(); ++i) EXPECT_EQ(now[i], before[report->shape.tokens[i]]) << i;
  }
}

PruneRequest masking(MaskMethod method, const MaskPattern& pattern) {
  PruneRequest request;
  request.what = PruneWhat::kWeights;
  request.masks = {method, pattern};
  return request;
}

std::vector<const Tensor*> matrices_of(const Model& model) {
  std::vector<const Tensor*> all;
  for (const LayerWeights& w : model.layers)
    for (const Tensor* t : {w.q, w.k, w.v, w.qkv, w.attn_output, w.gate, w.up, w.down})
      if (t) all.push_back(t);
  return all;
}

// What is written has the pattern, in every matrix of every layer, and nothing else changes.
TEST_F(Prune, ZerosFollowThePattern) {
  for (const char* architecture : {"llama", "qwen2", "gemma3", "deci", "gpt2"})
    for (const MaskMethod method : {MaskMethod::kSparseGpt, MaskMethod::kMagnitude}) {
      const TemporaryModel model({.architecture = architecture}, Type::F16);
      const auto report = prune_model(model.get(), masking(method, {0.5, 2, 4}));
      ASSERT_TRUE(report.ok()) << report.status().what();
      EXPECT_EQ(report->architecture, architecture);
      const auto after = written();
      ASSERT_TRUE(after);
      EXPECT_EQ(after->file_bytes, report->file_bytes);
      for (const Tensor* t : matrices_of(*after)) {
        ASSERT_EQ(t->type, Type::F16);
        std::vector<float> row(t->columns());
        for (uint64_t r = 0; r < t->rows(); ++r) {
          decode_row(*t, r, row.data());
          for (uint64_t c = 0; c < row.size(); c += 4)
            ASSERT_GE(std::count(row.begin() + c, row.begin() + c + 4, 0.0f), 2) << t->name;
        }
      }
      for (const MaskedKind& kind : report->masked) EXPECT_GE(2 * kind.zeros, kind.weights);
      const Tensor &before = *model.get()->token_embedding, &now = *after->token_embedding;
      EXPECT_TRUE(std::ranges::equal(before.data, now.data));
    }
}

// By OWL a layer whose inputs have outliers keeps more than the others; what is written has the
// shares that are told.
TEST_F(Prune, LayersHaveSharesOfTheirOwn) {
  TinyModel tiny = tiny_model({.architecture = "llama", .n_layers = 4});
  TinyTensor& norm = *tiny.find("blk.2.ffn_norm.weight");
  for (size_t i = 0; i < norm.values.size(); i += 24) norm.values[i] *= 40;
  const TemporaryModel model(tiny, Type::F16);
  PruneRequest request = masking(MaskMethod::kSparseGpt, {0.5, 0, 0});
  request.masks.owl = true;
  const auto report = prune_model(model.get(), request);
  ASSERT_TRUE(report.ok()) << report.status().what();
  ASSERT_EQ(report->layer_shares.size(), 4u);
  EXPECT_EQ(std::ranges::min(report->layer_shares), report->layer_shares[2]);
  EXPECT_NEAR(std::accumulate(report->layer_shares.begin(), report->layer_shares.end(), 0.0), 2,
              1e-9);
  const auto after = written();
  ASSERT_TRUE(after);
  for (size_t layer = 0; layer < 4; ++layer) {
    const LayerWeights& w = after->layers[layer];
    double zeros = 0, weights = 0;
    for (const Tensor* t : {w.q, w.k, w.v, w.attn_output, w.gate, w.up, w.down}) {
      std::vector<float> row(t->columns());
      for (uint64_t r = 0; r < t->rows(); ++r) {
        decode_row(*t, r, row.data());
        zeros += static_cast<double>(std::ranges::count(row, 0.0f));
        weights += static_cast<double>(row.size());
      }
    }
    EXPECT_NEAR(zeros / weights, report->layer_shares[layer], 1e-3) << layer;
  }
}

// Zeros that are not stored: a smaller file, which answers as the one with zeros does, to the last
// bit.
TEST_F(Prune, SparseFilesSayTheSame) {
  const TemporaryModel model({.architecture = "qwen2"}, Type::F16);
  PruneRequest request = masking(MaskMethod::kSparseGpt, {0.5, 16, 32});
  const auto dense = prune_model(model.get(), request);
  ASSERT_TRUE(dense.ok()) << dense.status().what();
  const auto with_zeros = logits_of(written());
  request.masks.sparse = true;
  const auto report = prune_model(model.get(), request);
  ASSERT_TRUE(report.ok()) << report.status().what();
  const auto after = written();
  ASSERT_TRUE(after);
  EXPECT_EQ(logits_of(after), with_zeros);
  EXPECT_EQ(after->file_bytes, report->file_bytes);
  uint64_t saved = 0;
  for (const MaskedKind& kind : report->masked) saved += kind.source_bytes - kind.bytes;
  EXPECT_EQ(report->source_layer_bytes - report->layer_bytes, saved);
  EXPECT_EQ(dense->file_bytes - report->file_bytes, saved);
  for (const Tensor* t : matrices_of(*after)) {
    EXPECT_EQ(t->type, Type::SF16) << t->name;
    EXPECT_EQ(t->bytes() * 32, t->count() * 36);
  }
  EXPECT_EQ(after->token_embedding->type, Type::F16);
  EXPECT_EQ(export_type(*after), Type::F16);
}

TEST_F(Prune, RefusesWhatDoesNotFitIntoSparseBlocks) {
  const TemporaryModel model({.architecture = "llama"}, Type::F16);
  for (const MaskPattern& pattern :
       {MaskPattern{0.2, 0, 0}, {0.5, 0, 0}, {0.25, 3, 4}, {0.5, 32, 64}}) {
    PruneRequest request = masking(MaskMethod::kRandom, pattern);
    request.masks.sparse = true;
    const auto report = prune_model(model.get(), request);
    ASSERT_FALSE(report.ok());
    EXPECT_NE(report.status().what().find("16 of each 32"), std::string::npos);
    EXPECT_NE(report.status().todo().find("16:32"), std::string::npos);
    EXPECT_TRUE(is_empty());
  }
}

// Channels that do the same stand in for each other, if the method lets them.
TEST_F(Prune, WeightsThatStayMakeUpForThoseThatGo) {
  TinyModel tiny = tiny_model({.architecture = "llama", .seed = 9});
  double_channels(tiny);
  const TemporaryModel model(tiny, Type::F32);
  const auto kld = [&](MaskMethod method) {
    const auto report = prune_model(model.get(), masking(method, {0.3, 0, 0}));
    EXPECT_TRUE(report.ok()) << report.status().what();
    return report.ok() ? report->kld : 0;
  };
  const double sparse = kld(MaskMethod::kSparseGpt), magnitude = kld(MaskMethod::kMagnitude),
               lot = kld(MaskMethod::kRandom);
  EXPECT_LT(sparse, 0.8 * magnitude);
  EXPECT_LT(magnitude, lot);
}

TEST_F(Prune, MasksAreTheSameWhateverTheThreadsAndWhereWeightsLie) {
  const TemporaryModel model({.architecture = "llama", .n_layers = 6}, Type::F16);
  std::vector<std::vector<float>> answers;
  for (const int n_threads : {1, 3}) {
    PruneRequest request = masking(MaskMethod::kSparseGpt, {0.5, 0, 0});
    request.effort = Effort::kFast;
    request.n_threads = n_threads;
    request.replace_output = true;
    if (n_threads == 3) {
      const auto least = plan_pruning(
          *model.get(),
          {.n_threads = 3, .effort = Effort::kFast, .memory_bytes = 1, .masks_weights = true});
      ASSERT_TRUE(least.ok());
      request.memory_bytes = least->map.total_bytes() + 64 * kKiB;
    }
    const auto report = prune(model.get(), out(), request, {});
    ASSERT_TRUE(report.ok()) << report.status().what();
    answers.push_back(logits_of(written()));
  }
  EXPECT_EQ(answers[0], answers[1]);
}

TEST_F(Prune, RefusesToMaskWhatWouldNotStayZero) {
  const TemporaryModel coded({.architecture = "llama"}, Type::Q8_0);
  const auto report = prune_model(coded.get(), masking(MaskMethod::kWanda, {0.5, 0, 0}));
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.status().what().find("zeros would not survive"), std::string::npos);
  EXPECT_NE(report.status().todo().find("compress"), std::string::npos);
  EXPECT_TRUE(is_empty());
}

class PruneMixture : public Prune, public testing::WithParamInterface<const char*> {
 protected:
  static PruneRequest experts(double share) {
    PruneRequest request;
    request.what = PruneWhat::kExperts;
    request.remove = share;
    request.calibration_text = builtin_calibration_text().substr(0, 4000);
    return request;
  }
};

// The first input of every router is large and positive, whatever the text: experts with a weight
// far below zero there are never met.
TEST_P(PruneMixture, ExpertsThatAreNeverMetGoAndNothingChanges) {
  TinyModel tiny = tiny_model({.architecture = GetParam(), .n_layers = 2});
  TinyTensor& embedding = *tiny.find("token_embd.weight");
  const uint64_t width = tiny.options.width;
  for (uint64_t row = 0; row < embedding.shape[1]; ++row) embedding.values[row * width] = 6;
  for (uint32_t l = 0; l < tiny.n_layers; ++l)
    for (uint32_t e = 0; e < tiny.options.n_experts; ++e) {
      tiny.find(fmt::format("blk.{}.ffn_gate_inp.weight", l))->values[e * width] = e < 6 ? 0 : -9;
    }
  const TemporaryModel model(tiny, Type::F32);
  const auto report = prune_model(model.get(), experts(0.25));
  ASSERT_TRUE(report.ok()) << report.status().what();
  EXPECT_EQ(report->architecture, tiny.gguf_architecture());
  const uint64_t router_rows = 2 * width * sizeof(float) * tiny.n_layers;
  EXPECT_EQ(report->source_token_bytes - report->token_bytes, router_rows);
  ASSERT_EQ(report->experts.size(), tiny.n_layers);
  for (const ExpertChoice& choice : report->experts) {
    EXPECT_EQ(choice.lost, 0);
    EXPECT_EQ(choice.kept, range(0, 6));
  }
  const auto after = written();
  ASSERT_TRUE(after);
  EXPECT_EQ(after->file_bytes, report->file_bytes);
  EXPECT_EQ(after->hyper.n_experts, 6u);
  EXPECT_EQ(after->hyper.n_experts_used, model.get()->hyper.n_experts_used);
  EXPECT_LT(relative_difference(logits_of(model.get()), logits_of(after)), 1e-4);
}

// Of experts that are met, others take their tokens: in the file as where they were measured.
TEST_P(PruneMixture, TheFileAnswersAsTheModelWithoutItsExperts) {
  const TemporaryModel model({.architecture = GetParam(), .n_layers = 2}, Type::F32);
  const auto report = prune_model(model.get(), experts(0.375));
  ASSERT_TRUE(report.ok()) << report.status().what();
  EXPECT_GT(report->kld, 0);
  InferenceRequest inference;
  inference.context = 8;
  const std::vector<Token> tokens = {10, 200, 31, 4, 77, 123, 9, 250};
  const uint64_t width = model.get()->hyper.width, vocabulary = model.get()->hyper.vocabulary;
  std::vector<float> hidden(tokens.size() * width), without(vocabulary), whole(vocabulary);
  const auto session = Session::open(model.get(), inference);
  ASSERT_TRUE(session.ok() && (*session)->embed(tokens, 0, hidden.data()).ok());
  for (const ExpertChoice& choice : report->experts) {
    EXPECT_EQ(choice.kept.size(), 5u);
    EXPECT_GT(choice.lost, 0);
    EXPECT_LT(choice.lost, 0.375);  // the others add more
    ForwardHooks hooks;
    hooks.gone_experts = choice.gone;
    (*session)->set_hooks(hooks);
    ASSERT_TRUE((*session)->run_layers(choice.layer, choice.layer + 1, 0, 8, hidden.data()).ok());
  }
  (*session)->set_hooks({});
  ASSERT_TRUE((*session)->logits(hidden.data() + 7 * width, 1, without.data()).ok());
  const auto pruned = Session::open(written(), inference);
  ASSERT_TRUE(pruned.ok());
  const auto logits = (*pruned)->feed(tokens);
  ASSERT_TRUE(logits.ok());
  EXPECT_LT(relative_difference(without, {logits->begin(), logits->end()}), 1e-5);
  (*session)->rewind(0);
  const auto source = (*session)->feed(tokens);
  ASSERT_TRUE(source.ok());
  EXPECT_GT(relative_difference(without, {source->begin(), source->end()}), 1e-2);
}

INSTANTIATE_TEST_SUITE_P(Each, PruneMixture, testing::Values("mixtral", "qwen2moe", "qwen3moe"),
                         [](const auto& of) { return std::string(of.param); });

TEST_F(Prune, AsManyExpertsStayAsFitASize) {
  const TemporaryModel model({.architecture = "qwen3moe"}, Type::Q8_0);
  PruneRequest request;
  request.what = PruneWhat::kExperts;
  request.calibration_text = builtin_calibration_text().substr(0, 4000);
  request.size_bytes = model.get()->file_bytes * 7 / 10;
  const auto report = prune_model(model.get(), request);
  ASSERT_TRUE(report.ok()) << report.status().what();
  EXPECT_LE(report->file_bytes, request.size_bytes);
  const uint32_t n = written()->hyper.n_experts;
  const uint64_t each = (report->source_layer_bytes - report->layer_bytes) / (8 - n);
  EXPECT_GT(report->file_bytes + each, request.size_bytes);
}

TEST_F(Prune, BlocksOfAMixtureGoAsOthersDo) {
  TinyModel tiny = tiny_model({.architecture = "mixtral", .n_layers = 4});
  for (const char* name : {"blk.2.ffn_down_exps.weight", "blk.2.attn_output.weight"})
    std::ranges::fill(tiny.find(name)->values, 0.0f);
  const TemporaryModel model(tiny, Type::F32);
  PruneRequest request;
  request.what = PruneWhat::kBlocks;
  request.remove = 0.25;
  const auto report = prune_model(model.get(), request);
  ASSERT_TRUE(report.ok()) << report.status().what();
  EXPECT_EQ(written()->hyper.n_layers, 3u);
  EXPECT_LT(relative_difference(logits_of(model.get()), logits_of(written())), 1e-5);
}

TEST_F(Prune, RefusesWhatCannotBeOfExperts) {
  const TemporaryModel mixture({.architecture = "mixtral"}, Type::F16),
      dense(TinyOptions{}, Type::F16);
  const auto of = [](PruneWhat what, double remove, uint64_t size = 0, double speedup = 0) {
    PruneRequest request;
    request.what = what, request.remove = remove;
    request.size_bytes = size, request.speedup = speedup;
    return request;
  };
  const struct {
    const TemporaryModel& model;
    PruneRequest request;
    const char* says;
  } cases[] = {{dense, of(PruneWhat::kExperts, 0.25), "no experts"},
               {mixture, of(PruneWhat::kAuto, 0.25), "cannot be removed yet"},
               {mixture, of(PruneWhat::kHeads, 0.25), "cannot be removed yet"},
               {mixture, of(PruneWhat::kChannels, 0.25), "cannot be removed yet"},
               {mixture, of(PruneWhat::kWeights, 0.25), "cannot be removed yet"},
               {mixture, of(PruneWhat::kExperts, 0.75), "2 of 8 experts would stay"},
               {mixture, of(PruneWhat::kExperts, 0.01), "no expert has to go"},
               {mixture, of(PruneWhat::kExperts, 0, 1000), "with 3 experts"},
               {mixture, of(PruneWhat::kExperts, 0, 0, 2), "it gets no faster"}};
  for (const auto& [model, request, says] : cases) {
    const auto report = prune_model(model.get(), request);
    ASSERT_FALSE(report.ok()) << says;
    EXPECT_NE(report.status().what().find(says), std::string::npos) << report.status().what();
    EXPECT_FALSE(report.status().todo().empty());
    EXPECT_TRUE(is_empty());
  }
}

TEST_F(Prune, RefusesWhatCannotBe) {
  const TemporaryModel model({.architecture = "llama"}, Type::F16);
  const TemporaryModel gemma({.architecture = "gemma3"}, Type::F16);
  struct Case {
    const Model* model;
    PruneRequest request;
    const char* says;
  };
  const TemporaryModel deci({.architecture = "deci"}, Type::F16);
  const TemporaryModel gpt2({.architecture = "gpt2"}, Type::F16);
  PruneRequest nearly_all, tiny_file, slow, uneven, blocks, no_text, uniform, channels;
  channels.what = PruneWhat::kChannels, channels.remove = 0.1;
  uniform.remove = 0.1, uniform.uniform = true;
  nearly_all.remove = 0.99;
  tiny_file.size_bytes = 1000;
  slow.size_bytes = uint64_t{1} << 40;
  uneven.what = PruneWhat::kHeads, uneven.remove = 0.1;
  blocks.what = PruneWhat::kBlocks, blocks.remove = 0.2;
  no_text.what = PruneWhat::kVocabulary;
  for (const auto& [of, request, says] : {Case{model.get().get(), nearly_all, "cannot shrink"},
                                          {model.get().get(), tiny_file, "embedding"},
                                          {model.get().get(), slow, "nothing has to go"},
                                          {gemma.get().get(), uneven, "as wide as each other"},
                                          {gemma.get().get(), blocks, "window"},
                                          {deci.get().get(), uniform, "differ already"},
                                          {gpt2.get().get(), uneven, "all heads of a gpt2"},
                                          {gpt2.get().get(), channels, "layers of a gpt2"},
                                          {model.get().get(), no_text, "none is given"}}) {
    const auto report =
        prune_model(std::shared_ptr<const Model>(std::shared_ptr<void>(), of), request);
    ASSERT_FALSE(report.ok()) << says;
    EXPECT_NE(report.status().what().find(says), std::string::npos) << report.status().what();
    EXPECT_FALSE(report.status().todo().empty());
    EXPECT_TRUE(is_empty());
  }
}

}  // namespace
}  // namespace enxuto
