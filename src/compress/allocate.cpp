#include "compress/allocate.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "plan/compression_plan.h"

namespace enxuto {
namespace {

constexpr int kSpeedSteps = 16;  // of a bisection over eight powers of ten

// States kept per item by the exact search; beyond, only the most promising of each byte range.
constexpr size_t kMostStates = kSearchStates;

size_t cheapest(const Choices& choices, double lambda) {
  size_t best = 0;
  const auto price = [&](const Choice& c) {
    return c.cost + lambda * static_cast<double>(c.bytes);
  };
  for (size_t i = 1; i < choices.size(); ++i) {
    const double difference = price(choices[i]) - price(choices[best]);
    if (difference < 0 || (difference == 0 && choices[i].bytes < choices[best].bytes)) best = i;
  }
  return best;
}

Allocation total(std::span<const Choices> items, std::vector<size_t> chosen) {
  Allocation a{std::move(chosen), 0, 0};
  for (size_t i = 0; i < items.size(); ++i) {
    a.bytes += items[i][a.chosen[i]].bytes;
    a.cost += items[i][a.chosen[i]].cost;
  }
  return a;
}

Allocation at_price(std::span<const Choices> items, double lambda) {
  std::vector<size_t> chosen;
  for (const Choices& choices : items) chosen.push_back(cheapest(choices, lambda));
  return total(items, std::move(chosen));
}

Allocation smallest(std::span<const Choices> items) {
  std::vector<size_t> chosen;
  for (const Choices& choices : items) {
    const auto least = std::ranges::min_element(choices, [](const Choice& a, const Choice& b) {
      return a.bytes != b.bytes ? a.bytes < b.bytes : a.cost < b.cost;
    });
    chosen.push_back(static_cast<size_t>(least - choices.begin()));
  }
  return total(items, std::move(chosen));
}

// Takes the single change that gains most per byte for as long as one fits.
void fill(std::span<const Choices> items, uint64_t budget, Allocation& a) {
  for (;;) {
    double best_rate = 0;
    size_t best_item = 0, best_choice = 0;
    for (size_t i = 0; i < items.size(); ++i) {
      const Choice& now = items[i][a.chosen[i]];
      for (size_t c = 0; c < items[i].size(); ++c) {
        const Choice& other = items[i][c];
        if (!(other.cost < now.cost) || a.bytes - now.bytes + other.bytes > budget) continue;
        const double more =
            other.bytes > now.bytes ? static_cast<double>(other.bytes - now.bytes) : 0;
        const double rate = (now.cost - other.cost) / (more + 1);
        if (rate > best_rate) best_rate = rate, best_item = i, best_choice = c;
      }
    }
    if (best_rate == 0) return;
    a.chosen[best_item] = best_choice;
    a = total(items, std::move(a.chosen));
  }
}

// The exact search. At price lambda every choice has a regret (what it costs more than the item's
// cheapest); a plan's cost is the dual bound + its regrets + lambda * unused bytes. Plans whose
// regrets alone reach the gap between bound and best known plan cannot win, and are cut.
class CoreSearch {
 public:
  CoreSearch(std::span<const Choices> items, uint64_t budget, double lambda,
             const Allocation& known)
      : items_(items), lambda_(lambda) {
    const Allocation base = at_price(items, lambda);
    base_ = base.chosen;
    room_ = static_cast<int64_t>(budget) - static_cast<int64_t>(base.bytes);
    gap_ = known.cost - (base.cost - lambda * static_cast<double>(room_));
  }

  // The chosen, or nothing better than the plan known.
  std::optional<std::vector<size_t>> run() {
    states_ = {State{0, 0, {0, 0}}};
    order_by_regret();
    for (const size_t item : order_) extend(item);
    const State* best = nullptr;
    double best_excess = gap_;
    for (const State& s : states_) {
      if (s.bytes > room_) continue;
      const double excess = s.regret + lambda_ * static_cast<double>(room_ - s.bytes);
      if (excess < best_excess) best_excess = excess, best = &s;
    }
    if (!best) return std::nullopt;
    return trace(static_cast<size_t>(best - states_.data()));
  }

 private:
  struct Step {
    uint32_t parent, choice;
  };
  struct State {
    int64_t bytes;  // more than the base plan
    double regret;
    Step step;
  };

  double regret(size_t item, size_t choice) const {
    const Choice &c = items_[item][choice], &b = items_[item][base_[item]];
    return c.cost - b.cost +
           lambda_ * (static_cast<double>(c.bytes) - static_cast<double>(b.bytes));
  }

  // Items with the smallest alternative regrets first: the states that matter come early.
  void order_by_regret() {
    std::vector<std::pair<double, size_t>> keyed;
    for (size_t i = 0; i < items_.size(); ++i) {
      double least = std::numeric_limits<double>::infinity();
      for (size_t c = 0; c < items_[i].size(); ++c)
        if (c != base_[i]) least = std::min(least, regret(i, c));
      if (least < gap_) keyed.push_back({least, i});
    }
    std::ranges::sort(keyed);
    for (const auto& [least, item] : keyed) order_.push_back(item);
  }

  void extend(size_t item) {
    std::vector<State> next;
    for (size_t c = 0; c < items_[item].size(); ++c) {
      const double more_regret = regret(item, c);
      if (more_regret >= gap_) continue;
      const int64_t more = static_cast<int64_t>(items_[item][c].bytes) -
                           static_cast<int64_t>(items_[item][base_[item]].bytes);
      for (size_t s = 0; s < states_.size(); ++s)
        if (states_[s].regret + more_regret < gap_)
          next.push_back({states_[s].bytes + more,
                          states_[s].regret + more_regret,
                          {static_cast<uint32_t>(s), static_cast<uint32_t>(c)}});
    }
    states_ = thinned(std::move(next));
    std::vector<Step>& steps = steps_.emplace_back();
    steps.reserve(states_.size());
    for (const State& s : states_) steps.push_back(s.step);
  }

  // Of equal bytes the smallest regret; of too many states, the smallest regret per byte range.
  static std::vector<State> thinned(std::vector<State> states) {
    std::ranges::sort(states, [](const State& a, const State& b) {
      return a.bytes != b.bytes ? a.bytes < b.bytes : a.regret < b.regret;
    });
    const auto same = [](const State& a, const State& b) { return a.bytes == b.bytes; };
    states.erase(std::unique(states.begin(), states.end(), same), states.end());
    if (states.size() <= kMostStates) return states;
    const int64_t begin = states.front().bytes;
    const int64_t cell = (states.back().bytes - begin) / static_cast<int64_t>(kMostStates) + 1;
    std::vector<State> kept;
    for (const State& s : states) {
      const bool new_cell =
          kept.empty() || (s.bytes - begin) / cell != (kept.back().bytes - begin) / cell;
      if (new_cell)
        kept.push_back(s);
      else if (s.regret < kept.back().regret)
        kept.back() = s;
    }
    return kept;
  }

  std::vector<size_t> trace(size_t s) const {
    std::vector<size_t> chosen = base_;
    for (size_t level = order_.size(); level > 0; --level) {
      const Step& step = steps_[level - 1][s];
      chosen[order_[level - 1]] = step.choice;
      s = step.parent;
    }
    return chosen;
  }

  std::span<const Choices> items_;
  double lambda_, gap_;
  int64_t room_;
  std::vector<size_t> base_, order_;
  std::vector<State> states_;             // of the items so far
  std::vector<std::vector<Step>> steps_;  // per item of order_: how each of its states was reached
};

}  // namespace

uint64_t smallest_bytes(std::span<const Choices> items) { return smallest(items).bytes; }

std::optional<Allocation> allocate(std::span<const Choices> items, uint64_t budget) {
  Allocation best = smallest(items);
  if (best.bytes > budget) return std::nullopt;
  if (const Allocation all = at_price(items, 0); all.bytes <= budget) return all;
  // Bisect on log(lambda); `high` is always a price at which the plan fits.
  double low = 1e-30, high = 1e6;
  for (int step = 0; step < 128; ++step) {
    const double middle = std::sqrt(low * high);
    const Allocation a = at_price(items, middle);
    (a.bytes <= budget ? high : low) = middle;
    if (a.bytes <= budget && a.cost < best.cost) best = a;
  }
  fill(items, budget, best);
  if (const auto chosen = CoreSearch(items, budget, high, best).run()) {
    Allocation found = total(items, *chosen);
    if (found.bytes <= budget && found.cost < best.cost) best = std::move(found);
  }
  fill(items, budget, best);
  return best;
}

std::optional<SpeedPlans> allocate_for_speed(std::span<const Choices> items,
                                             const std::vector<std::vector<double>>& seconds,
                                             uint64_t budget, double tolerance) {
  const auto timed = [&](Allocation a) {
    TimedAllocation t{std::move(a)};
    for (size_t i = 0; i < items.size(); ++i) t.seconds += seconds[i][t.chosen[i]];
    return t;
  };
  std::optional<Allocation> found = allocate(items, budget);
  if (!found) return std::nullopt;
  const TimedAllocation best = timed(*std::move(found));
  SpeedPlans plans{best, best};
  if (best.cost == 0 || best.seconds == 0) return plans;
  // A second is priced in costs; bisected on its logarithm to the dearest that is tolerated.
  const double even = best.cost / best.seconds;
  double low = even * 1e-4, high = even * 1e4;
  std::vector<Choices> priced(items.begin(), items.end());
  for (int step = 0; step < kSpeedSteps; ++step) {
    const double price = std::sqrt(low * high);
    for (size_t i = 0; i < items.size(); ++i)
      for (size_t c = 0; c < items[i].size(); ++c)
        priced[i][c].cost = items[i][c].cost + price * seconds[i][c];
    TimedAllocation plan = timed(total(items, allocate(priced, budget)->chosen));
    const bool tolerated = plan.cost <= best.cost * tolerance;
    (tolerated ? low : high) = price;
    if (tolerated && plan.seconds < plans.quick.seconds) plans.quick = std::move(plan);
  }
  return plans;
}

}  // namespace enxuto
