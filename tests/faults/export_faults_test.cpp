// export, with each of its writes failing once: the folder is whole, or it is not there.
#include "models/hf_export.h"
#include "tests/faults/every_fault.h"
#include "tests/tiny/tiny_model.h"

namespace enxuto {
namespace {

TEST(ExportFaults, WritesThatFailLeaveNothing) {
  const faults::Folder folder;
  const std::string path = folder / "model.gguf";
  const TinyOptions options{.architecture = "llama", .n_layers = 2, .rope_factors = false};
  ASSERT_TRUE(write_tiny_gguf(tiny_model(options), Type::F16, path).ok());
  const auto model = open_model(path);
  ASSERT_TRUE(model.ok());
  ThreadTeam team(2);
  std::vector<uint64_t> working(export_working_bytes(**model) / 8 + 1);
  const auto struck = faults::every_fault(FaultPoint::kWrite, folder, [&] {
    const Status status =
        export_model(**model, Type::F16, folder / "out", 300'000,
                     {reinterpret_cast<uint8_t*>(working.data()), working.size() * 8}, team, {})
            .status();
    if (status.ok()) std::filesystem::remove_all(folder / "out");
    return status;
  });
  EXPECT_GE(struck, 25);  // of the folder, and of each of its files
}

}  // namespace
}  // namespace enxuto
