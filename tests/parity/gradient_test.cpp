// The way back of tiny random models of each architecture against differences of the loss that the
// forward pass of inference gives.
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "infer/session.h"
#include "kernels/finite_difference.h"
#include "memory/arena.h"
#include "tests/parity/temporary_model.h"
#include "train/backward_walk.h"

namespace enxuto {
namespace {

// Longer than a block of attention and than a window; of two lengths.
std::vector<std::vector<Token>> texts() {
  std::vector<std::vector<Token>> all;
  for (const size_t n : {70, 23})
    for (auto* text = &all.emplace_back(); text->size() < n;)
      text->push_back(static_cast<Token>(3 + (text->size() * text->size() * 31 + n) % 285));
  return all;
}
constexpr uint32_t kTokens = 80;

struct Options {
  int n_threads = 1;
  bool streams = false, states_on_disk = false;
};

// By tensor: the gradients at its output, and its inputs, (tokens, rows) and (tokens, columns).
using Rows = std::map<const Tensor*, std::vector<std::vector<float>>>;

class Gradient {
 public:
  explicit Gradient(std::shared_ptr<const Model> model, Options options = {})
      : model_(std::move(model)), options_(options) {
    InferenceRequest request;
    request.context = request.batch = request.logit_rows = kTokens;
    request.n_threads = options.n_threads;
    if (options.streams) request.memory_bytes = 1;
    session_ = Session::open(model_, request).value();
  }

  void run() {
    const auto layout = lay_out_gradients(*model_, kTokens, options_.n_threads);
    ASSERT_TRUE(layout.ok());
    const uint64_t width = model_->hyper.width, page = 4096;
    const uint64_t state_bytes = align_up(kTokens * width * sizeof(float), page);
    const uint64_t checkpoint = *checkpoint_bytes(model_->hyper, kTokens);
    const auto folder = std::filesystem::temp_directory_path().string();
    MemoryMap map;
    map.parts.push_back({"all", 2 * state_bytes + checkpoint + layout->bytes, "", "", {}});
    arena_ = Arena::open(map).value();
    states_ =
        HiddenStates::create(*arena_->take<float>("all", 2 * state_bytes / sizeof(float)),
                             texts_.size(), state_bytes, options_.states_on_disk ? folder : "")
            .value();
    const auto buffer = *arena_->take<uint8_t>("all", checkpoint);
    const auto pieces = *arena_->take<uint8_t>("all", layout->bytes);
    BackwardWalk walk(*session_, *Dense::load(), {*layout, pieces.data(), buffer, states_, folder},
                      head_in_two, texts_);
    const Status status =
        walk.run([&](size_t text, const LinearGradient& linear) { keep(text, linear); }, {});
    ASSERT_TRUE(status.ok()) << status.what();
    for (size_t text = 0; text < texts_.size(); ++text) {
      const float* state = *states_.load(text);
      for (size_t t = 0; t < texts_[text].size(); ++t) {
        labels_.push_back(walk.head().label(text, t));
        embedded_.push_back({state + t * width, state + (t + 1) * width});
      }
    }
  }

  // The loss of the same labels by inference, with another matrix in a tensor's place.
  double loss(const Tensor* replaced, const std::vector<float>* values) {
    MatrixView view{};
    ForwardHooks hooks;
    if (replaced) {
      const auto columns = static_cast<int64_t>(replaced->columns());
      view = {Type::F32, reinterpret_cast<const uint8_t*>(values->data()),
              static_cast<int64_t>(replaced->rows()), columns,
              static_cast<uint64_t>(columns) * sizeof(float)};
      hooks.replacement = [&](const Tensor& t) { return &t == replaced ? &view : nullptr; };
    } else {
      inputs_.clear();
      hooks.on_linear_input = [&](const Tensor& w, const float* x, int64_t stride, int64_t n) {
        for (int64_t t = 0; t < n; ++t)
          inputs_[&w].push_back({x + t * stride, x + t * stride + w.columns()});
      };
    }
    session_->set_hooks(std::move(hooks));
    double sum = 0;
    auto label = labels_.begin();
    for (const auto& text : texts_) {
      session_->rewind(0);
      std::span<const float> logits = *session_->feed_each(text);
      const size_t n = model_->hyper.vocabulary;
      for (size_t t = 0; t < text.size(); ++t) {
        const auto row = logits.subspan(t * n, n);
        double total = 0;
        for (const float z : row) total += std::exp(double{z});
        sum += std::log(total) - row[static_cast<size_t>(*label++)];
      }
    }
    session_->set_hooks({});
    return sum;
  }

  // The gradient by the matrix itself: of what is multiplied, and of what is looked up.
  std::vector<float> by_weights(const Tensor& w) {
    const size_t columns = w.columns();
    std::vector<float> sum(w.rows() * columns);
    const auto& dy = gradients_[&w];
    for (size_t t = 0; t < dy.size(); ++t)
      for (size_t r = 0; r < w.rows(); ++r)
        for (size_t c = 0; c < columns; ++c) sum[r * columns + c] += dy[t][r] * inputs_[&w][t][c];
    if (&w != model_->token_embedding) return sum;
    auto row = embedded_.begin();
    for (const auto& text : texts_)
      for (const Token token : text) {
        for (size_t c = 0; c < columns; ++c)
          sum[static_cast<size_t>(token) * columns + c] +=
              model_->hyper.embedding_scale * (*row)[c];
        ++row;
      }
    return sum;
  }

  const Rows& gradients() const { return gradients_; }
  const std::vector<std::vector<float>>& embedded() const { return embedded_; }

 private:
  static Status head_in_two(const Tensor& head,
                            const std::function<Status(uint64_t first, const Tensor& rows)>& body) {
    constexpr uint64_t kCut = 100;
    for (const uint64_t first : {uint64_t{0}, kCut}) {
      Tensor piece = head;
      piece.shape[1] = first ? head.rows() - kCut : kCut;
      piece.data = head.data.subspan(first * head.row_bytes());
      TRY(body(first, piece));
    }
    return {};
  }

  void keep(size_t text, const LinearGradient& of) {
    ASSERT_EQ(static_cast<size_t>(of.n_tokens), texts_[text].size());
    auto& rows = gradients_[&of.w];
    size_t first = 0;
    for (size_t i = 0; i < text; ++i) first += texts_[i].size();
    rows.resize(std::max(rows.size(), first + texts_[text].size()));
    for (int64_t t = 0; t < of.n_tokens; ++t) {
      auto& row = rows[first + static_cast<size_t>(t)];
      row.insert(row.end(), of.dy + t * of.n_rows, of.dy + (t + 1) * of.n_rows);
    }
  }

  const std::vector<std::vector<Token>> texts_ = texts();
  std::shared_ptr<const Model> model_;
  Options options_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Arena> arena_;
  HiddenStates states_;
  std::vector<int64_t> labels_;
  std::vector<std::vector<float>> embedded_;
  Rows gradients_, inputs_;
};

double norm_of(const std::vector<float>& values) { return std::sqrt(dot(values, values)); }

// Along its gradient, and somewhat aside.
void expect_slope(Gradient& gradient, const Tensor& w) {
  SCOPED_TRACE(w.name);
  const std::vector<float> slopes = gradient.by_weights(w);
  std::vector<float> exact(slopes.size()), way = random_floats(slopes.size(), 7);
  std::memcpy(exact.data(), w.data.data(), w.bytes());
  const double slope = norm_of(slopes), random = norm_of(way), size = norm_of(exact);
  ASSERT_GT(slope, 0);
  for (size_t i = 0; i < way.size(); ++i)
    way[i] = static_cast<float>(size * (slopes[i] / slope + 0.25 * way[i] / random));
  const double step = 0.5 / dot(way, slopes);  // changes the loss by about half a nat
  const auto difference = [&](double by) {
    std::vector<float> above = exact, below = exact;
    for (size_t i = 0; i < way.size(); ++i) {
      above[i] += static_cast<float>(by * way[i]);
      below[i] -= static_cast<float>(by * way[i]);
    }
    return gradient.loss(&w, &above) - gradient.loss(&w, &below);
  };
  // Inference keeps keys and values as f16, and its loss is that exact.
  EXPECT_NEAR((8 * difference(step) - difference(2 * step)) / 6, 1, 0.05);
}

class Gradients : public testing::TestWithParam<const char*> {};

TEST_P(Gradients, AreThoseOfTheLossOfInference) {
  TinyOptions options;
  options.architecture = GetParam();
  options.attention_bias = options.architecture == "llama" || options.architecture == "deci";
  const TemporaryModel model(options, Type::F32);
  Gradient gradient(model.get());
  gradient.run();
  gradient.loss(nullptr, nullptr);
  // The first layers and the last: their windows slide, or do not. The third one of a deci has no
  // attention.
  const auto& layers = model.get()->layers;
  for (const LayerWeights* w : std::set{&layers.front(), &layers[2], &layers.back()})
    for (const Tensor* t : {w->q, w->k, w->v, w->qkv, w->attn_output, w->gate, w->up, w->down})
      if (t) expect_slope(gradient, *t);
  expect_slope(gradient, *model.get()->output);
  expect_slope(gradient, *model.get()->token_embedding);
}

TEST_P(Gradients, AreTheSameWhereverThingsLieAndWhoeverComputes) {
  TinyOptions options;
  options.architecture = GetParam();
  options.n_layers = 8;
  const TemporaryModel model(options, Type::Q8_0);
  Gradient one(model.get());
  one.run();
  for (const Options& other : {Options{3, false, true}, Options{2, true, false}}) {
    Gradient two(model.get(), other);
    two.run();
    EXPECT_EQ(one.gradients(), two.gradients());
    EXPECT_EQ(one.embedded(), two.embedded());
  }
}

INSTANTIATE_TEST_SUITE_P(Walk, Gradients,
                         testing::Values("llama", "qwen2", "qwen3", "gemma3", "deci", "gpt2"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace enxuto
