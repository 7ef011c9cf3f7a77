#include "train/teacher.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ranges>

#include "base/bytes.h"
#include "infer/evaluate.h"
#include "infer/session.h"
#include "kernels/exponential_sum.h"
#include "models/finite.h"
#include "plan/goal.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

// The most probable tokens of a row of logits, ascending, and what TaughtRows has of each.
class TopOfRow {
 public:
  void choose(std::span<float> logits, uint32_t top) {
    tokens_.resize(top);
    const auto before = [&](Token a, Token b) {
      const float at_a = logits[static_cast<size_t>(a)], at_b = logits[static_cast<size_t>(b)];
      return at_a != at_b ? at_a > at_b : a < b;
    };
    std::ranges::partial_sort_copy(std::views::iota(Token{0}, static_cast<Token>(logits.size())),
                                   tokens_, before);
    std::ranges::sort(tokens_);
    ExponentialSum all, others;
    all.add(logits);
    finite_ = std::isfinite(all.log());
    log_p_.clear();
    for (const Token token : tokens_) {
      float& logit = logits[static_cast<size_t>(token)];
      log_p_.push_back(static_cast<float>(logit - all.log()));
      logit = kGone;
    }
    others.add(logits);
    log_p_.push_back(static_cast<float>(others.log() - all.log()));
  }
  bool finite() const { return finite_; }
  std::span<const Token> tokens() const { return tokens_; }
  std::span<const float> log_p() const { return log_p_; }

 private:
  static constexpr float kGone = -1e30f;
  bool finite_ = true;
  std::vector<Token> tokens_;
  std::vector<float> log_p_;
};

// Windows through the teacher, one after the other, into its file.
class Listening {
 public:
  Listening(Session& teacher, const TeacherShape& shape, TeacherFileWriter& writer)
      : teacher_(teacher), shape_(shape), writer_(writer), rows_(teacher.logit_rows()) {}

  Status window(std::span<const Token> tokens) {
    for (size_t begin = 0; begin < tokens.size(); begin += teacher_.batch()) {
      if (interrupted()) return Status::interrupted();
      const auto pass =
          tokens.subspan(begin, std::min<size_t>(teacher_.batch(), tokens.size() - begin));
      TRY(teacher_.embed(pass, static_cast<uint32_t>(begin), teacher_.hidden_buffer()));
      TRY(teacher_.run_layers(0, teacher_.model().hyper.n_layers, static_cast<uint32_t>(begin),
                              static_cast<int64_t>(pass.size()), teacher_.hidden_buffer()));
      for (size_t at = 0; at < pass.size(); at += rows_.size())
        TRY(write_rows(at, std::min(rows_.size(), pass.size() - at)));
    }
    return {};
  }

 private:
  Status write_rows(size_t at, size_t n) {
    const size_t vocabulary = shape_.vocabulary;
    float* logits = teacher_.logits_buffer();
    TRY(teacher_.logits(teacher_.hidden_buffer() + at * teacher_.model().hyper.width,
                        static_cast<int64_t>(n), logits));
    teacher_.team().parallel_for(static_cast<int64_t>(n), 1, [&](int64_t i, int64_t, int) {
      rows_[static_cast<size_t>(i)].choose(
          std::span(logits + static_cast<size_t>(i) * vocabulary, vocabulary), shape_.top);
    });
    for (size_t i = 0; i < n; ++i) {
      if (!rows_[i].finite()) return explain_no_numbers(teacher_.model(), teacher_.team());
      TRY(writer_.add(rows_[i].tokens(), rows_[i].log_p()));
    }
    return {};
  }

  Session& teacher_;
  const TeacherShape& shape_;
  TeacherFileWriter& writer_;
  std::vector<TopOfRow> rows_;
};

}  // namespace

uint32_t teacher_top(const Model& model) { return std::min(kTeacherTop, model.hyper.vocabulary); }

uint64_t TaughtWindows::place_of(const Sequences& data, uint64_t i) const {
  return training == data.n_training() ? data.training_window(i) : i;
}

uint64_t TaughtWindows::window_at(const Sequences& data, uint64_t place) const {
  if (place >= training) return data.n_training() + (place - training);
  return training == data.n_training() ? place : data.training_window(place);
}

Status check_teacher(const Model& student, const Model& teacher, uint64_t context) {
  if (context > teacher.hyper.trained_context)
    return Status::usage(
        fmt::format("a context of {} is longer than the teacher's {}", format_count(context),
                    format_count(teacher.hyper.trained_context)),
        "choose a shorter --context");
  if (same_vocabulary(student, teacher)) return {};
  return Status::bad_input(
      fmt::format("the teacher's vocabulary ({} tokens) is not the model's ({})",
                  format_count(teacher.hyper.vocabulary), format_count(student.hyper.vocabulary)),
      "name a teacher with the same tokens, as the model that this one was made from");
}

Result<TeacherShape> teacher_shape(const Model& teacher, const Sequences& data,
                                   const TaughtWindows& windows) {
  std::vector<std::string> files;
  for (const auto& file : teacher.files) files.push_back(file->path());
  // Places of windows say which order a run takes them in.
  std::string rest = fmt::format("{:x}", data.file().fingerprint());
  for (uint64_t place = 0; place < std::min<uint64_t>(windows.training, 16); ++place)
    rest += fmt::format(" {}", windows.window_at(data, place));
  ASSIGN_OR_RETURN(const uint64_t fingerprint, teacher_fingerprint(files, rest));
  return TeacherShape{teacher.hyper.vocabulary, teacher_top(teacher), data.context(),
                      windows.training + windows.validation, fingerprint};
}

InferenceRequest teacher_request(uint64_t context, int n_threads, uint64_t memory_bytes) {
  InferenceRequest request = evaluation_request(static_cast<uint32_t>(context), n_threads);
  request.memory_bytes = memory_bytes;
  return request;
}

Status write_teacher(std::shared_ptr<const Model> teacher, const Sequences& data,
                     const TaughtWindows& windows, const TeacherShape& shape,
                     const InferenceRequest& request, const std::string& path,
                     const Progress& progress) {
  if (request.memory_bytes) TRY(check_fits(*teacher, request, request.memory_bytes));
  ASSIGN_OR_RETURN(TeacherFileWriter writer, TeacherFileWriter::create(path, shape));
  ASSIGN_OR_RETURN(const auto session, Session::open(std::move(teacher), request));
  Listening listening(*session, shape, writer);
  std::vector<Token> tokens(data.context() + 1);
  std::vector<uint8_t> learned(data.context());
  for (uint64_t place = 0; place < shape.windows; ++place) {
    if (progress)
      progress("asking the teacher",
               static_cast<double>(place) / static_cast<double>(shape.windows));
    data.window(windows.window_at(data, place), tokens, learned);
    TRY(listening.window(std::span<const Token>(tokens).first(data.context())));
  }
  return writer.finish();
}

}  // namespace enxuto
