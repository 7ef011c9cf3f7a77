// Ctrl-C, asked for politely: the first SIGINT or SIGTERM sets a flag that long work polls and
// answers with Status::interrupted(); a second one ends the process at once.
#pragma once

#include <string>

namespace enxuto {

void install_interrupt_handler();
// Ctrl-C ends the program again: for a line editor, which restores the terminal by itself.
void remove_interrupt_handler();
bool interrupted();
// Files that a second Ctrl-C removes on its way out: a few at a time.
void add_unfinished_file(const std::string& path);
void remove_unfinished_file(const std::string& path);
// For chat: the first Ctrl-C stops the answer, not the program.
void clear_interrupt();

}  // namespace enxuto
