#include "compress/check.h"

#include "models/finite.h"
#include "platform/interrupt.h"

namespace enxuto {

Status check_weights(const Workbench& bench, ColumnScales& scales) {
  StreamHash hash;
  uint64_t done = 0, total = 0;
  for (const Tensor& tensor : bench.model().tensors) total += tensor.count();
  for (const Tensor& tensor : bench.model().tensors)
    TRY(bench.reader.for_pieces(tensor, [&](uint64_t, const Tensor& piece) {
      if (interrupted()) return Status::interrupted();
      if (bench.progress)
        bench.progress("checking", static_cast<double>(done) / static_cast<double>(total));
      done += piece.count();
      if (bench.state) hash.add(piece.data);
      ThreadTeam& team = bench.session.team();
      const bool finite = scales.see(tensor, piece, team) || all_finite(piece, team);
      return finite ? Status() : not_finite(tensor);
    }));
  return bench.state ? bench.state->match_weights(hash) : Status();
}

}  // namespace enxuto
