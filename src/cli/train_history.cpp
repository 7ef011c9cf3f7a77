#include "cli/train_history.h"

#include <algorithm>

#include "data/text_files.h"

namespace enxuto {
namespace {

using Point = TrainHistory::Point;

constexpr uint64_t kMostLine = 1 << 16;
constexpr size_t kMostSamples = 24;

// 0 where it is none, or no step could have it.
double number(const Json& line, const char* key) {
  constexpr double kMost = 1e18;
  const auto found = line.find(key);
  if (found == line.end() || !found->is_number()) return 0;
  return std::clamp(found->get<double>(), 0.0, kMost);
}

Point joined(const Point& a, const Point& b) {
  const auto n_a = static_cast<double>(a.last_step - a.first_step + 1),
             n_b = static_cast<double>(b.last_step - b.first_step + 1);
  Point both = b;
  both.first_step = a.first_step;
  both.loss = (n_a * a.loss + n_b * b.loss) / (n_a + n_b);
  both.least_loss = std::min(a.least_loss, b.least_loss);
  both.most_loss = std::max(a.most_loss, b.most_loss);
  both.seconds = a.seconds + b.seconds, both.own_tokens = a.own_tokens + b.own_tokens;
  return both;
}

class Reader {
 public:
  void add_line(const Json& line) {
    const auto step = static_cast<uint64_t>(number(line, "step")),
               tokens = static_cast<uint64_t>(number(line, "tokens"));
    const double loss = number(line, "loss");
    tokens_ += tokens;
    add(Point{step, step, tokens_, loss, loss, loss, number(line, "lr"), number(line, "seconds"),
              tokens});
    if (line.contains("validation_loss"))
      add(TrainHistory::Validation{step, tokens_, number(line, "validation_loss")});
    if (const auto sample = line.find("sample"); sample != line.end() && sample->is_string())
      add(TrainHistory::Sample{step, sample->get<std::string>()});
  }
  TrainHistory take() { return std::move(history_); }

 private:
  // Where they are full, two become one, and each is of twice as many steps from then on.
  void add(const Point& point) {
    auto& points = history_.points;
    if (in_last_ > 0 && in_last_ < each_) {
      points.back() = joined(points.back(), point);
      ++in_last_;
      return;
    }
    if (points.size() == TrainHistory::kMostPoints) {
      for (size_t i = 0; i < points.size() / 2; ++i)
        points[i] = joined(points[2 * i], points[2 * i + 1]);
      points.resize(points.size() / 2);
      each_ *= 2;
    }
    points.push_back(point);
    in_last_ = 1;
  }
  // Every other one goes, but the last stays.
  void add(const TrainHistory::Validation& validation) {
    auto& all = history_.validations;
    if (all.size() == TrainHistory::kMostPoints) {
      for (size_t i = 0; i < all.size() / 2; ++i) all[i] = all[2 * i + 1];
      all.resize(all.size() / 2);
    }
    all.push_back(validation);
  }
  void add(TrainHistory::Sample sample) {
    auto& all = history_.samples;
    if (all.size() == kMostSamples) all.erase(all.begin() + 1);
    all.push_back(std::move(sample));
  }

  TrainHistory history_;
  uint64_t tokens_ = 0, each_ = 1, in_last_ = 0;
};

}  // namespace

Result<TrainHistory> read_train_history(const std::string& metrics_file) {
  ASSIGN_OR_RETURN(InputFile file, InputFile::open(metrics_file));
  TextLines lines(std::move(file), kMostLine);
  Reader reader;
  for (;;) {
    ASSIGN_OR_RETURN(const TextLines::Line line, lines.next());
    const Json json = Json::parse(line.text, nullptr, /*allow_exceptions=*/false);
    if (line.end || !json.is_object()) return reader.take();
    reader.add_line(json);
  }
}

Json history_json(const TrainHistory& history) {
  Json curve = Json::array(), validations = Json::array(), samples = Json::array();
  for (const auto& p : history.points)
    curve.push_back({{"first_step", p.first_step},
                     {"step", p.last_step},
                     {"tokens", p.tokens},
                     {"loss", p.loss},
                     {"least_loss", p.least_loss},
                     {"most_loss", p.most_loss},
                     {"lr", p.rate},
                     {"tokens_per_second", p.tokens_per_second()}});
  for (const auto& v : history.validations)
    validations.push_back({{"step", v.step}, {"tokens", v.tokens}, {"loss", v.loss}});
  for (const auto& s : history.samples) samples.push_back({{"step", s.step}, {"text", s.text}});
  return {{"curve", curve}, {"validations", validations}, {"samples", samples}};
}

}  // namespace enxuto
