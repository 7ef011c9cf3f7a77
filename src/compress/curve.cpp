#include "compress/curve.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "plan/format_mix.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

constexpr int kSizes = 24;  // in even steps of their logarithm

// Of the choices chosen(i) of each weight i.
template <class Chosen>
MixPoint sum_of(const PricedWeights& priced, const char* name, const Chosen& chosen) {
  MixPoint sum{name, priced.fixed_bytes, 0, 0};
  for (size_t i = 0; i < priced.choices.size(); ++i) {
    const Choice& choice = priced.choices[i][chosen(i)];
    sum.file_bytes += choice.bytes;
    sum.predicted_kld += choice.cost;
  }
  return sum;
}

uint64_t largest_useful(const PricedWeights& priced) {
  const auto best = [&](size_t i) {
    const std::vector<Type>& menu = priced.menus[i];
    size_t least = 0;  // smallest first: a float only where there is nothing else
    for (size_t c = 1; c < menu.size(); ++c)
      if (!is_float(menu[c]) && priced.choices[i][c].cost < priced.choices[i][least].cost)
        least = c;
    return least;
  };
  return sum_of(priced, "", best).file_bytes;
}

std::vector<MixPoint> mixes_of(const PricedWeights& priced) {
  std::vector<MixPoint> mixes;
  for (const FormatMix& mix : format_mixes()) {
    if (!mix.type) continue;
    const auto place = [&](size_t i) {
      const Type type = type_in_mix(*priced.weights[i].tensor, mix);
      return static_cast<size_t>(std::ranges::find(priced.menus[i], type) -
                                 priced.menus[i].begin());
    };
    bool allowed = true;
    for (size_t i = 0; i < priced.menus.size(); ++i) allowed &= place(i) < priced.menus[i].size();
    if (allowed) mixes.push_back(sum_of(priced, mix.name, place));
  }
  std::ranges::stable_sort(mixes, std::greater(), &MixPoint::file_bytes);
  return mixes;
}

std::set<uint64_t> sizes_of(const PricedWeights& priced) {
  const uint64_t least = priced.fixed_bytes + smallest_bytes(priced.choices);
  const uint64_t most = largest_useful(priced);
  const double ratio = static_cast<double>(most) / static_cast<double>(least);
  std::set<uint64_t> sizes = {least, most};
  for (int i = 1; i + 1 < kSizes; ++i)
    sizes.insert(static_cast<uint64_t>(static_cast<double>(least) *
                                       std::pow(ratio, static_cast<double>(i) / (kSizes - 1))));
  return sizes;
}

std::vector<FormatUse> formats_of(const PricedWeights& priced, const std::vector<size_t>& chosen) {
  std::map<Type, uint64_t> parameters;
  for (size_t i = 0; i < chosen.size(); ++i)
    parameters[priced.menus[i][chosen[i]]] += priced.weights[i].tensor->count();
  std::vector<FormatUse> formats;
  for (const auto& [type, count] : parameters) formats.push_back({type, count});
  std::ranges::stable_sort(formats, std::greater(), &FormatUse::parameters);
  return formats;
}

}  // namespace

Result<Curve> solve_curve(const PricedWeights& priced, uint64_t target_bytes,
                          const Progress& progress) {
  Curve curve{{}, mixes_of(priced)};
  std::set<uint64_t> sizes = sizes_of(priced);
  for (const MixPoint& mix : curve.mixes) sizes.insert(mix.file_bytes);
  if (target_bytes) sizes.insert(target_bytes);
  size_t done = 0;
  for (const uint64_t size : sizes) {
    if (progress) progress("solving", static_cast<double>(done++) / sizes.size());
    if (interrupted()) return Status::interrupted();
    const auto found = allocate(priced.choices, size - priced.fixed_bytes);
    if (!found) return Status::failed("the plan of formats does not fit after all");
    const uint64_t bytes = priced.fixed_bytes + found->bytes;
    std::vector<CurvePoint>& points = curve.points;
    while (!points.empty() && points.back().file_bytes >= bytes &&
           points.back().predicted_kld > found->cost)
      points.pop_back();
    if (points.empty() || found->cost < points.back().predicted_kld)
      points.push_back({size, bytes, found->cost, formats_of(priced, found->chosen)});
    for (MixPoint& mix : curve.mixes)
      if (mix.file_bytes == size) mix.allocated_kld = points.back().predicted_kld;
  }
  return curve;
}

}  // namespace enxuto
