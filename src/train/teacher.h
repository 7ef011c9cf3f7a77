// A teacher for distillation: another model of the same tokens, whose distribution over what comes
// next the student learns. It runs once, before the student is in memory, over the windows that
// training will look at, and what it says of them lies in a file (data/teacher_file.h).
#pragma once

#include <memory>
#include <string>

#include "base/progress.h"
#include "data/sequences.h"
#include "data/teacher_file.h"
#include "models/model.h"
#include "plan/plan.h"
#include "plan/training.h"

namespace enxuto {

uint32_t teacher_top(const Model& model);

// The windows that a run looks at: all of training's where it comes to all of them, else those of
// its first sequences; and the first of validation's.
struct TaughtWindows {
  uint64_t training = 0, validation = 0;
  // The file's place of training(i), and the window that lies at a place.
  uint64_t place_of(const Sequences& data, uint64_t i) const;
  uint64_t window_at(const Sequences& data, uint64_t place) const;
};

// kBadInput where the teacher's tokens are not the student's; kUsage where it knows no context so
// long.
Status check_teacher(const Model& student, const Model& teacher, uint64_t context);
// Of the teacher's file (its name, size and time), the data, and which windows of it are looked at.
Result<TeacherShape> teacher_shape(const Model& teacher, const Sequences& data,
                                   const TaughtWindows& windows);
// What running it over such windows takes.
InferenceRequest teacher_request(uint64_t context, int n_threads, uint64_t memory_bytes);

// Runs the teacher within request.memory_bytes, and writes the file in the place of what was there.
Status write_teacher(std::shared_ptr<const Model> teacher, const Sequences& data,
                     const TaughtWindows& windows, const TeacherShape& shape,
                     const InferenceRequest& request, const std::string& path,
                     const Progress& progress);

// What a teacher said of the windows that a run looks at.
class Teacher {
 public:
  Teacher(TeacherFile file, const TaughtWindows& windows)
      : file_(std::move(file)), windows_(windows) {}
  uint64_t top() const { return file_.shape().top; }
  void training(const Sequences& data, uint64_t i, const TaughtRows& rows) const {
    file_.read(windows_.place_of(data, i), rows);
  }
  void validation(uint64_t i, const TaughtRows& rows) const {
    file_.read(windows_.training + i, rows);
  }

 private:
  TeacherFile file_;
  TaughtWindows windows_;
};

}  // namespace enxuto
