// compress with a state folder: what was interrupted goes on to the same file, a second size takes
// over what was measured, and a folder that is of no use is refused.
#include <gmock/gmock.h>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <set>

#include "platform/faults.h"
#include "platform/interrupt.h"
#include "tests/budget/budget.h"

namespace enxuto {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr const char* kStages[] = {"calibrating", "probing", "measuring", "writing"};

class CompressState : public CompressBudget {
 protected:
  void SetUp() override { install_interrupt_handler(); }
  void TearDown() override {
    clear_interrupt();
    remove_interrupt_handler();
    inject_fault(FaultPoint::kWrite, 0);
  }

  CompressRequest request(const Model& model, double part = 3) const {
    CompressRequest request;
    request.target_bytes = static_cast<uint64_t>(static_cast<double>(model.file_bytes) / part);
    request.effort = Effort::kFast;
    request.types = {Type::Q4_0, Type::Q8_0};
    request.calibration_text = std::string(300, 'a') + "some more of it";
    request.n_threads = 2;
    request.replace_output = true;
    request.state_folder = state();
    return request;
  }
  CompressRequest fresh(CompressRequest request) const {
    request.state_folder.clear();
    return request;
  }
  std::string state() const { return folder_.path("state"); }
  void forget() const { fs::remove_all(state()); }

  static std::string content(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }
  Result<std::string> file(const TemporaryModel& model, const CompressRequest& request,
                           const Progress& progress = {}) {
    ASSIGN_OR_RETURN(report_, compress(model.get(), out(), request, progress));
    return content(out());
  }
  std::string file_of(const TemporaryModel& model, const CompressRequest& request) {
    const auto bytes = file(model, request);
    EXPECT_TRUE(bytes.ok()) << bytes.status().what();
    return bytes.ok() ? *bytes : "";
  }

  CompressReport report_;
};

TEST_F(CompressState, TheNextSizeTakesOverAllThatWasMeasured) {
  const TemporaryModel model(tiny_model({}), Type::F16);
  const auto first = request(*model.get()), second = request(*model.get(), 2.5);
  const std::string expected_first = file_of(model, fresh(first)),
                    expected_second = file_of(model, fresh(second));
  EXPECT_TRUE(file_of(model, first) == expected_first);
  EXPECT_TRUE(report_.taken_over.empty());
  EXPECT_GT(report_.state_bytes, 0u);
  std::set<std::string> stages;
  const auto again =
      file(model, second, [&](std::string_view stage, double) { stages.emplace(stage); });
  ASSERT_TRUE(again.ok()) << again.status().what();
  EXPECT_TRUE(*again == expected_second);
  EXPECT_FALSE(stages.contains("calibrating") || stages.contains("probing"));
  ASSERT_EQ(report_.taken_over.size(), 3u);
  for (const TakenOver& stage : report_.taken_over) EXPECT_EQ(stage.layers, stage.of);
}

TEST_F(CompressState, AtTheBestEffortTheGradientsAreTakenOverToo) {
  const TemporaryModel model(tiny_model({}), Type::F16);
  auto first = request(*model.get()), second = request(*model.get(), 2.5);
  first.effort = second.effort = Effort::kBest;
  const std::string expected = file_of(model, fresh(second));
  ASSERT_NE(file_of(model, first), "");
  std::set<std::string> stages;
  const auto again =
      file(model, second, [&](std::string_view stage, double) { stages.emplace(stage); });
  ASSERT_TRUE(again.ok()) << again.status().what();
  EXPECT_TRUE(*again == expected);
  EXPECT_FALSE(stages.contains("weighing outputs"));
  EXPECT_EQ(report_.taken_over.size(), 4u);
}

// In a folder that has the file itself, with memory for the least plan: all as without.
TEST_F(CompressState, KeepsMemoryAndWritesBesideItsRecords) {
  const TemporaryModel model(tiny_model({.architecture = "qwen2", .width = 96, .n_layers = 8}),
                             Type::F16);
  auto wanted = request(*model.get());
  const std::string expected = file_of(model, fresh(wanted));
  wanted.memory_bytes = 1;
  const auto refused = file(model, wanted);
  ASSERT_EQ(refused.status().code(), Code::kDoesNotFit);
  EXPECT_FALSE(fs::exists(state()));
  const auto tokenizer = Tokenizer::create(model.get()->metadata);
  ASSERT_TRUE(tokenizer.ok());
  const auto plan = plan_compression(*model.get(), {.n_threads = wanted.n_threads,
                                                    .effort = wanted.effort,
                                                    .memory_bytes = 1,
                                                    .tokenizer_bytes = (*tokenizer)->table_bytes(),
                                                    .keeps_state = true});
  ASSERT_TRUE(plan.ok());
  wanted.memory_bytes = plan->map.total_bytes();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(compress(model.get(), state() + "/out.gguf", wanted, {}).ok()) << i;
    EXPECT_TRUE(content(state() + "/out.gguf") == expected) << i;
  }
  --wanted.memory_bytes;
  EXPECT_EQ(file(model, wanted).status().code(), Code::kDoesNotFit);
}

// Importance that was brought belongs to the state, and stays what it is.
TEST_F(CompressState, TakesOverUnderAnImportanceMatrix) {
  const TemporaryModel model(tiny_model({}), Type::F16);
  auto save = fresh(request(*model.get()));
  save.calibration_text = std::string(300, 'b') + "other text";
  save.save_imatrix_path = folder_.path("other.gguf");
  ASSERT_NE(file_of(model, save), "");
  auto first = request(*model.get()), second = request(*model.get(), 2.5);
  first.imatrix_path = second.imatrix_path = save.save_imatrix_path;
  const std::string expected = file_of(model, fresh(second));
  ASSERT_NE(file_of(model, first), "");
  EXPECT_TRUE(file_of(model, second) == expected);
  EXPECT_EQ(report_.taken_over.size(), 3u);
  const Status other = file(model, request(*model.get())).status();
  EXPECT_EQ(other.code(), Code::kUsage);
  EXPECT_THAT(other.what(), HasSubstr("the importance matrix differs"));
}

// In all layers, where only some are surveyed.
TEST_F(CompressState, FormatsThatAreAddedAreMeasuredAlone) {
  const TemporaryModel model(tiny_model({.n_layers = 8}), Type::F16);
  auto more = request(*model.get());
  ASSERT_NE(file_of(model, more), "");
  more.types.push_back(Type::Q5_0);
  const std::string expected = file_of(model, fresh(more));
  EXPECT_TRUE(file_of(model, more) == expected);
  more.types = {Type::Q5_0};  // and fewer need nothing more
  more.target_bytes *= 2;
  EXPECT_TRUE(file_of(model, more) == file_of(model, fresh(more)));
  ASSERT_TRUE(file(model, more).ok());
  ASSERT_EQ(report_.taken_over.size(), 3u);
  EXPECT_EQ(report_.taken_over.back().layers, report_.taken_over.back().of);
}

// Ctrl-C at the n-th thing that a stage tells, for each stage and every n.
TEST_F(CompressState, GoesOnWhereItWasInterrupted) {
  const TemporaryModel model(tiny_model({.architecture = "qwen2", .n_layers = 2}), Type::F16);
  auto wanted = request(*model.get());
  const std::string expected = file_of(model, fresh(wanted));
  int going_on = 0;  // notices of that; of cautions there are others
  wanted.notice = [&](const std::string& line) { going_on += line.find("going on") < line.size(); };
  for (const std::string at : kStages) {
    bool struck = true;
    for (int nth = 1; struck; nth += at == "probing" ? 13 : at == "writing" ? 4 : 1) {
      forget();
      int told = 0;
      wanted.n_threads = 1;
      const auto stopped = file(model, wanted, [&](std::string_view stage, double) {
        if (stage == at && ++told == nth) std::raise(SIGINT);
      });
      struck = told >= nth;
      clear_interrupt();
      if (!struck || stopped.ok()) continue;  // too late to stop it
      EXPECT_EQ(stopped.status().code(), Code::kInterrupted) << stopped.status().what();
      EXPECT_EQ(going_on, 0);
      wanted.n_threads = 3;
      EXPECT_TRUE(file_of(model, wanted) == expected) << at << " " << nth;
      EXPECT_EQ(going_on, report_.taken_over.empty() ? 0 : 1) << at << " " << nth;
      going_on = 0;
    }
  }
}

// SIGKILL in each stage: another process, which ends in the middle of its work.
TEST_F(CompressState, GoesOnAfterItWasKilled) {
  const TemporaryModel model(tiny_model({.architecture = "qwen2", .n_layers = 2}), Type::F16);
  const auto wanted = request(*model.get());
  const std::string expected = file_of(model, fresh(wanted));
  for (const std::string at : kStages) {
    fs::remove(out());
    const pid_t child = ::fork();
    if (child == 0) {
      (void)file(model, wanted, [&](std::string_view stage, double done) {
        if (stage == at && done > 0.4) std::raise(SIGKILL);
      });
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << at;
    EXPECT_FALSE(fs::exists(out()));
  }
  EXPECT_TRUE(file_of(model, wanted) == expected);
  EXPECT_EQ(report_.taken_over.size(), 4u);
  for (const auto& entry : fs::directory_iterator(state()))
    EXPECT_EQ(entry.path().filename().string().find(".part-"), std::string::npos) << entry.path();
}

// What one size has written is of no use to another, which goes on where it was all the same.
TEST_F(CompressState, LayersThatWereWrittenServeTheirSizeAlone) {
  const TemporaryModel model(tiny_model({.n_layers = 4}), Type::F16);
  const auto first = request(*model.get()), second = request(*model.get(), 2.5);
  const std::string expected_first = file_of(model, fresh(first)),
                    expected_second = file_of(model, fresh(second));
  const auto interrupt = [&](const CompressRequest& wanted) {
    const auto stopped = file(model, wanted, [&](std::string_view stage, double done) {
      if (stage == "writing" && done > 0.8) std::raise(SIGINT);
    });
    clear_interrupt();
    EXPECT_EQ(stopped.status().code(), Code::kInterrupted);
    EXPECT_TRUE(fs::exists(state() + "/rounded-1"));
  };
  interrupt(first);
  interrupt(second);
  EXPECT_TRUE(file_of(model, first) == expected_first);
  for (const TakenOver& stage : report_.taken_over) EXPECT_NE(stage.stage, "writing");
  EXPECT_FALSE(fs::exists(state() + "/rounded-0"));
  interrupt(second);
  EXPECT_TRUE(file_of(model, second) == expected_second);
  ASSERT_EQ(report_.taken_over.size(), 4u);
  EXPECT_EQ(report_.taken_over.back().stage, "writing");
  EXPECT_GE(report_.taken_over.back().layers, 2u);
}

// A crash between any two writes: the folder holds what was written until then.
TEST_F(CompressState, LosesLittleWhereverItEnds) {
  const TemporaryModel model(tiny_model({.architecture = "qwen2", .n_layers = 2}), Type::F16);
  const auto wanted = request(*model.get());
  const std::string expected = file_of(model, fresh(wanted));
  bool struck = true;
  for (int nth = 1; struck; nth += 11) {
    forget();
    inject_fault(FaultPoint::kWrite, nth);
    const auto stopped = file(model, wanted);
    struck = fault_point_count(FaultPoint::kWrite) >= nth;
    inject_fault(FaultPoint::kWrite, 0);
    EXPECT_EQ(stopped.ok(), !struck) << nth;
    EXPECT_TRUE(file_of(model, wanted) == expected) << nth;
  }
}

TEST_F(CompressState, RefusesWhatIsNotItsOwn) {
  const TemporaryModel model(tiny_model({}), Type::F16);
  const TemporaryModel finetuned(tiny_model({.seed = 2}), Type::F16);
  const TemporaryModel wider(tiny_model({.width = 128}), Type::F16);
  const auto wanted = request(*model.get());
  ASSERT_NE(file_of(model, wanted), "");
  fs::remove(out());
  const auto refuse = [&](const TemporaryModel& of, const CompressRequest& asked, Code code,
                          const char* why) {
    const Status status = file(of, asked).status();
    EXPECT_EQ(status.code(), code) << why;
    EXPECT_THAT(status.what(), HasSubstr(why));
    EXPECT_FALSE(fs::exists(out()));
  };
  refuse(finetuned, wanted, Code::kUsage, "one of the model's weights differs");
  refuse(wider, request(*wider.get()), Code::kUsage, "the model differs");
  auto other = wanted;
  other.calibration_text += "!";
  refuse(model, other, Code::kUsage, "the calibration text differs");
  other = wanted;
  other.effort = Effort::kNormal;
  refuse(model, other, Code::kUsage, "--effort differs");
  {
    const auto busy = WorkFolder::open(state());
    refuse(model, wanted, Code::kFailed, "in use");
  }
  const std::string key = content(state() + "/state.json");
  const auto set_key = [&](const std::string& text) { folder_.write("state/state.json", text); };
  std::string older = key;
  older.replace(older.find("program"), 7, "another");
  set_key(older);
  refuse(model, wanted, Code::kUsage, "the version of enxuto differs");
  set_key(key.substr(0, key.size() / 2));
  refuse(model, wanted, Code::kUsage, "holds other files");
  set_key("{\"version\": 4}");
  refuse(model, wanted, Code::kUsage, "holds other files");
  fs::remove(state() + "/state.json");
  refuse(model, wanted, Code::kUsage, "holds other files");
  set_key(key);
  EXPECT_NE(file_of(model, wanted), "");
}

// Each file of it one byte shorter, or with one bit another.
TEST_F(CompressState, FindsWhatIsDamaged) {
  const TemporaryModel model(tiny_model({.n_layers = 2}), Type::F16);
  auto wanted = request(*model.get());
  std::set<std::string> tried = {"state.json"};  // see above
  for (const std::string at : kStages) {
    forget();
    int told = 0;
    // Late in the stage, so that it has left something.
    const auto stopped = file(model, wanted, [&](std::string_view stage, double done) {
      if (stage == at && done > (at == "calibrating" ? 0.4 : 0.8) && ++told == 1)
        std::raise(SIGINT);
    });
    clear_interrupt();
    const fs::path whole = folder_.path("whole-" + at);
    fs::copy(state(), whole);
    for (const auto& entry : fs::directory_iterator(whole)) {
      const std::string name = entry.path().filename();
      if (!tried.insert(name).second) continue;
      const std::string bytes = content(entry.path());
      std::string flipped = bytes;
      flipped[flipped.size() * 3 / 4] ^= 4;
      for (const std::string& broken : {bytes.substr(0, bytes.size() - 1), flipped}) {
        forget();
        fs::copy(whole, state());
        folder_.write("state/" + name, broken);
        const Status status = file(model, wanted).status();
        if (!status.ok()) {
          EXPECT_EQ(status.code(), Code::kBadInput) << name << status.what();
          EXPECT_THAT(status.what(), HasSubstr(name + " is damaged"));
          EXPECT_THAT(status.todo(), HasSubstr("remove " + state()));
        } else {
          EXPECT_TRUE(name.starts_with("covariance-")) << name << " was read";
        }
      }
    }
  }
  for (const char* name : {"weights", "covariance-0", "calibrated-2", "errors-1", "text", "probes",
                           "sensitivities", "rounded-0"})
    EXPECT_TRUE(tried.contains(name)) << name;
}

}  // namespace
}  // namespace enxuto
