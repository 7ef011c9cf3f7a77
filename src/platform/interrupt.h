// Ctrl-C, asked for politely: the first SIGINT or SIGTERM sets a flag that long work polls and
// answers with Status::interrupted(); a second one ends the process at once.
#pragma once

namespace enxuto {

void install_interrupt_handler();
bool interrupted();
// For chat: the first Ctrl-C stops the answer, not the program.
void clear_interrupt();

}  // namespace enxuto
