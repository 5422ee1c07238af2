/* "TERM" for 15: sigabbrev_np() is glibc's alone. */
#ifndef SPARKPOD_COMMON_SIGNAL_NAME_H
#define SPARKPOD_COMMON_SIGNAL_NAME_H

/* The signal's name without SIG; "?" for one without a name (real-time signals). Static. */
const char *signal_name(int signo);

#endif
