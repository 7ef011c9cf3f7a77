#include "platform/ranks.h"

#include <algorithm>
#include <cstdlib>
#include <exception>

#include "platform/library.h"

namespace enxuto {
namespace {

constexpr int kThreadsOfWhichOneCalls = 1;  // MPI_THREAD_FUNNELED
// Values or bytes of a message: MPI counts in int, and keeps a copy of what it adds up.
constexpr size_t kMost = 1 << 20;

void* in_place() { return reinterpret_cast<void*>(1); }  // MPI_IN_PLACE

uint32_t number_in_environment(const char* name) {
  const char* text = std::getenv(name);
  const int number = text ? std::atoi(text) : 0;
  return number > 0 ? static_cast<uint32_t>(number) : 1;
}

Status checked(int error) {
  if (error == 0) return {};
  return Status::failed("a rank cannot reach the others",
                        "start all again; train --resume goes on from the last checkpoint");
}

}  // namespace

// OpenMPI's functions and constants; the latter are addresses of its objects.
struct Ranks::Library {
  int (*init)(int*, char***, int, int*);
  int (*finalize)();
  int (*abort)(void*, int);
  int (*comm_rank)(void*, int*);
  int (*comm_size)(void*, int*);
  int (*set_error_handler)(void*, void*);
  int (*barrier)(void*);
  int (*all_reduce)(const void*, void*, int, void*, void*, void*);
  int (*broadcast)(void*, int, void*, int, void*);
  int (*send)(const void*, int, void*, int, int, void*);
  int (*receive)(void*, int, void*, int, int, void*, void*);
  char *world, *returns_errors, *sum, *of_float, *of_double, *of_byte;

  template <class T>
  Status add_up(std::span<T> values, char* type) const {
    for (size_t at = 0; at < values.size(); at += kMost) {
      const auto n = static_cast<int>(std::min(kMost, values.size() - at));
      TRY(checked(all_reduce(in_place(), &values[at], n, type, sum, world)));
    }
    return {};
  }
};

Ranks::Ranks() = default;

// Where something was thrown the others may never come to their end: mpirun ends them when this
// process has gone without a word.
Ranks::~Ranks() {
  if (library_ && std::uncaught_exceptions() == 0) library_->finalize();
}

const Ranks& Ranks::alone() {
  static const Ranks alone;
  return alone;
}

Result<std::unique_ptr<const Ranks>> Ranks::join() {
  std::unique_ptr<Ranks> ranks(new Ranks);
  if (number_in_environment("OMPI_COMM_WORLD_SIZE") > 1) TRY(ranks->load());
  return std::unique_ptr<const Ranks>(std::move(ranks));
}

Status Ranks::load() {
  ASSIGN_OR_RETURN(const SharedLibrary file, SharedLibrary::open("libmpi.so.40", "libopenmpi3"));
  auto l = std::make_unique<Library>();
  TRY(file.find("MPI_Init_thread", &l->init));
  TRY(file.find("MPI_Finalize", &l->finalize));
  TRY(file.find("MPI_Abort", &l->abort));
  TRY(file.find("MPI_Comm_rank", &l->comm_rank));
  TRY(file.find("MPI_Comm_size", &l->comm_size));
  TRY(file.find("MPI_Comm_set_errhandler", &l->set_error_handler));
  TRY(file.find("MPI_Barrier", &l->barrier));
  TRY(file.find("MPI_Allreduce", &l->all_reduce));
  TRY(file.find("MPI_Bcast", &l->broadcast));
  TRY(file.find("MPI_Send", &l->send));
  TRY(file.find("MPI_Recv", &l->receive));
  TRY(file.find("ompi_mpi_comm_world", &l->world));
  TRY(file.find("ompi_mpi_errors_return", &l->returns_errors));
  TRY(file.find("ompi_mpi_op_sum", &l->sum));
  TRY(file.find("ompi_mpi_float", &l->of_float));
  TRY(file.find("ompi_mpi_double", &l->of_double));
  TRY(file.find("ompi_mpi_byte", &l->of_byte));
  int given = 0, rank = 0, size = 1;
  TRY(checked(l->init(nullptr, nullptr, kThreadsOfWhichOneCalls, &given)));
  TRY(checked(l->set_error_handler(l->world, l->returns_errors)));
  TRY(checked(l->comm_rank(l->world, &rank)));
  TRY(checked(l->comm_size(l->world, &size)));
  library_ = std::move(l);
  rank_ = static_cast<uint32_t>(rank), size_ = static_cast<uint32_t>(size);
  on_this_machine_ = number_in_environment("OMPI_COMM_WORLD_LOCAL_SIZE");
  return {};
}

Status Ranks::wait() const {
  return library_ ? checked(library_->barrier(library_->world)) : Status();
}

Status Ranks::sum(std::span<float> values) const {
  return library_ ? library_->add_up(values, library_->of_float) : Status();
}

Status Ranks::sum(std::span<double> values) const {
  return library_ ? library_->add_up(values, library_->of_double) : Status();
}

Status Ranks::tell(uint32_t from, std::span<uint8_t> bytes) const {
  if (!library_) return {};
  const Library& l = *library_;
  for (size_t at = 0; at < bytes.size(); at += kMost) {
    const auto n = static_cast<int>(std::min(kMost, bytes.size() - at));
    TRY(checked(l.broadcast(&bytes[at], n, l.of_byte, static_cast<int>(from), l.world)));
  }
  return {};
}

Status Ranks::tell_first(uint32_t from, std::span<uint8_t> bytes) const {
  if (!library_ || from == 0 || (rank_ != from && rank_ != 0)) return {};
  const Library& l = *library_;
  for (size_t at = 0; at < bytes.size(); at += kMost) {
    const auto n = static_cast<int>(std::min(kMost, bytes.size() - at));
    TRY(checked(rank_ == from ? l.send(&bytes[at], n, l.of_byte, 0, 0, l.world)
                              : l.receive(&bytes[at], n, l.of_byte, static_cast<int>(from), 0,
                                          l.world, nullptr)));
  }
  return {};
}

void Ranks::end_all(int exit_code) const {
  if (library_) library_->abort(library_->world, exit_code);
}

}  // namespace enxuto
