#include "cli/train_teacher.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "cli/budget.h"
#include "cli/terminal_text.h"

namespace enxuto {
namespace {

constexpr const char* kTeacherFile = "teacher.bin";

TaughtWindows windows_of(const TrainSetup& setup, const RunSettings& settings) {
  const Sequences& data = *setup.data;
  const uint64_t epoch = data.n_training(), batch = setup.request.sequences;
  return {settings.steps < epoch / batch ? settings.steps * batch : epoch,
          settings.validate_every ? std::min(data.n_validation(), kMostValidationSequences) : 0};
}

// What is there of another teacher, or of other data, goes first: it has no use, and takes room.
Status check_disk(const WorkFolder& folder, uint64_t bytes) {
  TRY(folder.remove(kTeacherFile));
  const uint64_t free = folder.free_bytes();
  if (bytes <= free) return {};
  return Status::failed(
      fmt::format("what the teacher says takes {} in {}, and its disk has {} left",
                  format_bytes(bytes), folder.path(), format_bytes(free)),
      "free some space there, write the output on another disk, or make fewer --steps");
}

Result<uint64_t> ask_teacher(const TrainSetup& setup, const TaughtWindows& windows,
                             const TeacherShape& shape, uint64_t memory_bytes,
                             const Progress& progress) {
  const TrainOptions& o = setup.options;
  ASSIGN_OR_RETURN(const uint64_t bytes, TeacherFile::file_bytes(shape));
  TRY(check_disk(setup.folder, bytes));
  const InferenceRequest request = teacher_request(shape.context, o.threads(), memory_bytes);
  TRY(check_fits(*setup.teacher, request, memory_bytes).in("the teacher"));
  ASSIGN_OR_RETURN(const MemoryMap map, plan_inference(*setup.teacher, request));
  if (!o.json)
    print_note(fmt::format("the teacher: {} tokens after each of {}, {} on the disk; {} of memory",
                           shape.top, format_count(shape.windows * shape.context),
                           format_bytes(bytes), format_bytes(map.total_bytes())));
  TRY(write_teacher(setup.teacher, *setup.data, windows, shape, request,
                    setup.folder.path(kTeacherFile), progress));
  return map.total_bytes();
}

}  // namespace

Result<TeacherSetup> set_up_teacher(TrainSetup& setup, const RunSettings& settings,
                                    const Ranks& ranks, const Progress& progress) {
  TeacherSetup done;
  if (!setup.teacher) return done;
  const TaughtWindows windows = windows_of(setup, settings);
  ASSIGN_OR_RETURN(const TeacherShape shape, teacher_shape(*setup.teacher, *setup.data, windows));
  const std::string path = setup.folder.path(kTeacherFile);
  if (ranks.first()) {
    const auto known = TeacherFile::open(path);
    if (!known.ok() || known->shape() != shape) {
      ASSIGN_OR_RETURN(
          done.planned_bytes,
          ask_teacher(setup, windows, shape, training_budget(setup.options, ranks), progress));
    }
  }
  TRY(ranks.wait());
  setup.teacher.reset();
  ASSIGN_OR_RETURN(TeacherFile file, TeacherFile::open(path));
  if (file.shape() != shape)
    return Status::bad_input(
        fmt::format("rank {} has another teacher than the first", ranks.rank()),
        "give all ranks the same files, in a folder that they share");
  done.teacher.emplace(std::move(file), windows);
  return done;
}

}  // namespace enxuto
