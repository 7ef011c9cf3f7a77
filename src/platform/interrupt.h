// Ctrl-C, asked for politely: the first SIGINT or SIGTERM sets a flag that long work polls and
// answers with Status::interrupted(); a second one ends the process at once. Two more reasons to
// stop meet here: a mapped file that shrinks, and a memory limit that does (limit_watch.h).
#pragma once

#include <string>

namespace enxuto {

// Of the main thread, on a stack of its own: oneDNN's products of matrices lend the stack pointer
// to memory of the heap (its issue 4845), where a signal's frame would lie over the heap's own
// marks.
void install_interrupt_handler();
// The calling thread leaves these signals to the others: for all that multiply but the main one.
void leave_interrupts_to_others();
// Ctrl-C ends the program again: for a line editor, which restores the terminal by itself.
void remove_interrupt_handler();
// A page of a mapped file that is gone (SIGBUS) ends the process with kFailed and a clear message.
void install_bus_error_handler();
// Also once memory_limit_fell().
bool interrupted();
// Files that either end removes on its way out: a few at a time.
void add_unfinished_file(const std::string& path);
void remove_unfinished_file(const std::string& path);
// For chat: the first Ctrl-C stops the answer, not the program.
void clear_interrupt();

}  // namespace enxuto
