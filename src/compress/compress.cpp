#include "compress/compress.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/bytes.h"
#include "base/checked.h"
#include "compress/allocate.h"
#include "compress/calibrate.h"
#include "compress/cautions.h"
#include "compress/check.h"
#include "compress/covariance_file.h"
#include "compress/emit.h"
#include "compress/forecast.h"
#include "compress/importance_files.h"
#include "compress/measured_errors.h"
#include "compress/output_covariances.h"
#include "compress/prices.h"
#include "compress/sensitivity.h"
#include "compress/weights.h"
#include "infer/session.h"
#include "plan/compression_plan.h"
#include "plan/output_size.h"
#include "platform/clock.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

class Compression {
 public:
  Compression(std::shared_ptr<const Model> model, const CompressRequest& request,
              const Progress& progress)
      : model_(std::move(model)), request_(request), progress_(progress) {}

  Result<uint64_t> smallest() {
    TRY(plan_bytes(false));
    return report_.smallest_bytes;
  }

  Result<CompressReport> run(const std::string& output_path) {
    const auto start = std::chrono::steady_clock::now();
    for (const auto& file : model_->files)
      if (same_file(file->path(), output_path))
        return Status::usage(fmt::format("{} is the input itself", output_path),
                             "write the result under another name");
    TRY(plan_bytes(!output_path.empty()));
    ASSIGN_OR_RETURN(const CalibrationChunks chunks, plan_memory());
    ASSIGN_OR_RETURN(const Dense dense, Dense::load());
    ASSIGN_OR_RETURN(arena_, Arena::open(plan_.stages));
    TRY(bring());
    TRY(open_state(chunks));
    std::optional<OutputFile> out;
    TRY(open_output(output_path, out));
    TRY(open_output(request_.save_imatrix_path, imatrix_out_));
    const std::string parent = std::filesystem::path(output_path).parent_path();
    const std::string folder = parent.empty() ? "." : parent;
    ASSIGN_OR_RETURN(
        CovarianceFile covariances,
        CovarianceFile::of_inputs(dense, weights_, plan_.covariance_columns, folder, state_.get()));
    ASSIGN_OR_RETURN(session_, Session::open(model_, plan_.inference));
    ASSIGN_OR_RETURN(reader_, TensorReader::open(*model_, plan_, *arena_));
    if (out && plan_.weigh_chunks > 0) {
      ASSIGN_OR_RETURN(outputs_, OutputCovariances::create(dense, weights_, model_->hyper.n_layers,
                                                           folder, state_.get()));
    }
    const Workbench bench{plan_, *session_, *arena_, *reader_, folder, progress_, state_.get()};
    if (request_.announce)
      request_.announce(plan_.map, forecast(*model_, plan_, weights_, menus_, out.has_value(),
                                            state_.get(), machine_speed(dense, session_->team())));
    TRY(measure(bench, chunks, covariances));
    const PricedWeights priced{weights_, menus_, choices_, fixed_bytes_};
    if (request_.curve) {
      ASSIGN_OR_RETURN(report_.curve, solve_curve(priced, request_.target_bytes, progress_));
    }
    if (out) {
      ASSIGN_OR_RETURN(const Allocation allocation, choose(bench, priced));
      TRY(emit_plan(bench, covariances, allocation, *out));
    }
    if (imatrix_out_) TRY(imatrix_out_->commit());
    if (state_) report_.taken_over = state_->taken_over(), report_.state_bytes = state_->bytes();
    report_.seconds = seconds_since(start);
    return std::move(report_);
  }

 private:
  // Which formats each weight may take and what each takes; refused at once where a file is to be
  // written and nothing fits.
  Status plan_bytes(bool writes) {
    weights_ = find_weights(*model_);
    const OutputHeader header = output_header(*model_);
    OptionalSize fixed = header.bytes;
    for (const Tensor& tensor : model_->tensors)
      if (!weight_of(tensor))
        fixed = checked_add(fixed, output_tensor_bytes(tensor, tensor.type, header));
    errors_.resize(weights_.size());
    for (const Weight& weight : weights_)
      menus_.push_back(menu_for(*weight.tensor, request_.types));
    TRY(pin_formats(request_.pins, weights_, menus_));
    for (size_t i = 0; i < weights_.size(); ++i) {
      Choices& choices = choices_.emplace_back();
      for (const Type type : menus_[i]) {
        const OptionalSize bytes = output_tensor_bytes(*weights_[i].tensor, type, header);
        if (!bytes) return Status::bad_input("the model's tensors claim more bytes than there are");
        choices.push_back({*bytes, 0});
      }
    }
    if (!fixed) return Status::bad_input("the model's tensors claim more bytes than there are");
    fixed_bytes_ = *fixed;
    report_.smallest_bytes = fixed_bytes_ + smallest_bytes(choices_);
    report_.target_bytes = request_.target_bytes;
    report_.input_bytes = model_->file_bytes;
    if (!writes || report_.smallest_bytes <= request_.target_bytes) return Status();
    return Status::does_not_fit(
        fmt::format("{} bytes are too few for this model", format_count(request_.target_bytes)),
        fmt::format("the smallest it can be is {} bytes: --size {}",
                    format_count(report_.smallest_bytes), report_.smallest_bytes));
  }

  // What the work will take; refused at once where that is more than it may. Cuts the text first:
  // its tokenizer's tables are part of the plan.
  Result<CalibrationChunks> plan_memory() {
    const std::string_view text = request_.calibration_text.empty()
                                      ? builtin_calibration_text()
                                      : std::string_view(request_.calibration_text);
    ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::create(model_->metadata));
    ASSIGN_OR_RETURN(
        plan_, plan_compression(*model_, {request_.n_threads, request_.effort,
                                          request_.memory_bytes, tokenizer->table_bytes(),
                                          !request_.state_folder.empty(), request_.target_bytes}));
    TRY(check_fits(plan_, request_.memory_bytes));
    report_.map = plan_.map;
    const CalibrationShape& shape = plan_.shape;
    ASSIGN_OR_RETURN(CalibrationChunks chunks,
                     cut_calibration_text(*tokenizer, text,
                                          {shape.fit_tokens, shape.fit_chunks, shape.probe_tokens,
                                           shape.probe_chunks}));
    report_.cautions = cautions(*model_, weights_, chunks, shape);
    if (request_.notice) std::ranges::for_each(report_.cautions, request_.notice);
    return chunks;
  }

  // An empty path: nothing is written.
  Status open_output(const std::string& path, std::optional<OutputFile>& out) const {
    if (path.empty()) return {};
    ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path, request_.replace_output));
    out.emplace(std::move(file));
    return {};
  }

  Status bring() {
    if (request_.imatrix_path.empty()) return {};
    ASSIGN_OR_RETURN(importance_, bring_importance(request_.imatrix_path, weights_, *arena_));
    report_.imatrix_tensors = static_cast<uint64_t>(std::ranges::count_if(
        weights_, [&](const Weight& weight) { return importance_.contains(weight.input); }));
    return {};
  }

  Status open_state(const CalibrationChunks& chunks) {
    if (request_.state_folder.empty()) return {};
    ASSIGN_OR_RETURN(state_, State::open(request_.state_folder,
                                         {*model_, chunks, plan_, importance_}, request_.notice));
    return {};
  }

  // Fills in what each choice costs, in nats of KL divergence.
  Status measure(const Workbench& bench, const CalibrationChunks& chunks,
                 CovarianceFile& covariances) {
    ASSIGN_OR_RETURN(scales_, ColumnScales::find(bench));
    TRY(check_weights(bench, scales_));
    ASSIGN_OR_RETURN(importance_,
                     calibrate(bench, chunks.fit, scales_, covariances, std::move(importance_)));
    if (imatrix_out_)
      TRY(save_importance(
          *imatrix_out_,
          request_.calibration_name.empty() ? "enxuto's own mix" : request_.calibration_name,
          chunks.fit, weights_, importance_));
    bench.clear();
    if (outputs_) TRY(outputs_->measure(bench, chunks.fit));
    bench.clear();
    ASSIGN_OR_RETURN(const auto sensitivities,
                     measure_sensitivity(bench, weights_, importance_, chunks.held_out));
    bench.clear();
    const MeasuringTask task{weights_, menus_, sensitivities, importance_, scales_};
    ASSIGN_OR_RETURN(const MeasuredErrors errors, measure_errors(bench, task, covariances));
    bench.clear();
    const Prices prices(task, errors, plan_.survey);
    for (size_t i = 0; i < weights_.size(); ++i)
      for (size_t c = 0; c < menus_[i].size(); ++c) {
        errors_[i].push_back(prices.relative_error(i, menus_[i][c]));
        choices_[i][c].cost = prices.nats(i) * errors_[i][c];
      }
    return Status();
  }

  Result<Allocation> choose(const Workbench& bench, const PricedWeights& priced) {
    const uint64_t room = request_.target_bytes - fixed_bytes_;
    if (request_.for_speed) return allocate_for_speed(bench, priced, room, report_.speed);
    auto best = allocate(choices_, room);
    if (!best) return Status::failed("the plan of formats does not fit after all");
    return *std::move(best);
  }

  Status emit_plan(const Workbench& bench, CovarianceFile& covariances,
                   const Allocation& allocation, OutputFile& out) {
    scales_.drop_unused([&](const Tensor& tensor) { return is_rounded(tensor, allocation); });
    std::vector<Emission> emissions;
    TRY(covariances.begin(bench));
    if (outputs_) TRY(outputs_->begin(bench));
    for (const Tensor& tensor : model_->tensors) {
      Emission e = unchanged(tensor);
      TensorReport line{tensor.name, tensor.type, tensor.type, 0, 0, 0};
      if (const Weight* weight = weight_of(tensor)) {
        const auto i = static_cast<size_t>(weight - weights_.data());
        const size_t chosen = allocation.chosen[i];
        e = {&tensor,
             menus_[i][chosen],
             weight->input ? weight->layer : 0,
             importance_of(*weight),
             nullptr,
             nullptr};
        if (weight->input)
          e.covariance = [&covariances, weight] { return covariances.of(*weight); };
        if (outputs_)
          e.outputs = [&, weight] {
            return outputs_->of(*weight->tensor, scales_, bench.session.team());
          };
        line.relative_error = errors_[i][chosen];
        line.predicted_kld = choices_[i][chosen].cost;
      }
      line.to = e.type;
      line.bytes = bytes_as(tensor, e.type);
      report_.predicted_kld += line.predicted_kld;
      emissions.push_back(e);
      report_.tensors.push_back(std::move(line));
    }
    std::ranges::stable_sort(emissions, {}, &Emission::layer);
    const Metadata metadata = metadata_for(*model_, emissions);
    TRY(emit(bench, metadata, emissions, scales_, out));
    report_.file_bytes = out.size();
    return Status();
  }

  static Emission unchanged(const Tensor& tensor) {
    return {&tensor, tensor.type, 0, nullptr, nullptr, nullptr};
  }

  static uint64_t bytes_as(const Tensor& tensor, Type type) {
    return find_codec(type)->row_bytes(tensor.columns()) * tensor.rows();
  }

  bool is_rounded(const Tensor& tensor, const Allocation& allocation) const {
    const auto i = static_cast<size_t>(weight_of(tensor) - weights_.data());
    return menus_[i][allocation.chosen[i]] != tensor.type;
  }

  const Weight* weight_of(const Tensor& tensor) const {
    const auto it = std::ranges::find(weights_, &tensor, &Weight::tensor);
    return it == weights_.end() ? nullptr : &*it;
  }

  const float* importance_of(const Weight& weight) const {
    return weight.input ? importance_.at(weight.input).data() : nullptr;
  }

  std::shared_ptr<const Model> model_;
  const CompressRequest& request_;
  const Progress& progress_;
  CompressReport report_;
  uint64_t fixed_bytes_ = 0;  // header, metadata and all tensors that stay as they are
  // Side by side, one per weight:
  std::vector<Weight> weights_;
  std::vector<std::vector<Type>> menus_;
  std::vector<Choices> choices_;
  std::vector<std::vector<double>> errors_;  // relative, of each choice
  CompressionPlan plan_;
  std::unique_ptr<State> state_;  // null: nothing is kept
  std::optional<OutputCovariances> outputs_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Arena> arena_;
  std::unique_ptr<TensorReader> reader_;
  ColumnScales scales_;
  Importance importance_;
  std::optional<OutputFile> imatrix_out_;
};

}  // namespace

Result<CompressReport> compress(std::shared_ptr<const Model> model, const std::string& output_path,
                                const CompressRequest& request, const Progress& progress) {
  return Compression(std::move(model), request, progress).run(output_path);
}

Result<uint64_t> smallest_file_bytes(std::shared_ptr<const Model> model,
                                     const CompressRequest& request) {
  const Progress quiet;
  return Compression(std::move(model), request, quiet).smallest();
}

}  // namespace enxuto
