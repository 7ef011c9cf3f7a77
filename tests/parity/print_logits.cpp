// print_logits MODEL TOKEN…: feeds the tokens in one go and writes the last one's logits to
// standard output, raw f32 (for tools/parity_real.py).
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "infer/session.h"

int main(int argc, char** argv) {
  using namespace enxuto;
  const auto run = [&]() -> Status {
    if (argc < 3) return Status::usage("print_logits MODEL TOKEN…");
    ASSIGN_OR_RETURN(const auto model, open_model(argv[1]));
    std::vector<Token> tokens;
    for (int i = 2; i < argc; ++i) tokens.push_back(std::atoi(argv[i]));
    InferenceRequest request;
    request.context = static_cast<uint32_t>(tokens.size());
    request.n_threads = default_thread_count();
    ASSIGN_OR_RETURN(const auto session, Session::open(model, request));
    session->set_input_scales(InputScales::kOfLlamaCpp);
    ASSIGN_OR_RETURN(const auto logits, session->feed(tokens));
    std::fwrite(logits.data(), sizeof(float), logits.size(), stdout);
    return Status();
  };
  const Status status = run();
  if (!status.ok()) fmt::print(stderr, "{}\n", status.what());
  return static_cast<int>(status.code());
}
