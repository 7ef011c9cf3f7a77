// An importance matrix of any bytes: what is read are numbers that make sense, and those are read
// again as they were once written in our form.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "formats/imatrix.h"
#include "fuzz.h"

namespace enxuto {
namespace {

using fuzz::require;
using Means = std::map<std::string, std::vector<float>>;

// Of the entries that have any, and are neither too long nor too large for our form.
Means means_of(const Imatrix& imatrix) {
  Means all;
  for (const auto& [name, entry] : imatrix.entries) {
    std::vector<float> means(entry.columns);
    if (!entry.mean_squares(means).ok()) continue;
    for (const float mean : means)
      require(mean >= 0 && std::isfinite(mean), "means are numbers and not negative");
    if (name.size() < 500 && std::ranges::max(means) < 1e35f) all[name] = std::move(means);
  }
  return all;
}

Status write(const Means& means, const std::string& path) {
  ASSIGN_OR_RETURN(OutputFile out, OutputFile::create(path, true));
  std::vector<NamedMeans> named;
  for (const auto& [name, values] : means) named.push_back({name, values});
  TRY(write_imatrix(out, {"fuzz", 1, 512, 512}, named));
  return out.commit();
}

}  // namespace
}  // namespace enxuto

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enxuto;
  const auto imatrix = parse_imatrix({data, size});
  if (!imatrix.ok()) return 0;
  const Means means = means_of(*imatrix);
  static const std::string path = "/dev/shm/enxuto-imatrix-fuzz-" + std::to_string(::getpid());
  require(write(means, path).ok(), "it is written");
  {
    const auto again = open_imatrix(path);
    require(again.ok() && means_of(*again) == means, "and read as it was");
  }
  std::remove(path.c_str());
  return 0;
}
