/* What the fuzz targets share: a demand that ends the run, and the life of one template, which is
 * the same in every format. What is false anywhere aborts; libFuzzer then keeps the input. */
#ifndef SPARKPOD_TESTS_FUZZ_FUZZ_H
#define SPARKPOD_TESTS_FUZZ_FUZZ_H

#include "confgen/expansion.h"
#include "confgen/pairs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define demand(truth) ((truth) ? (void)0 : fuzz_fail(#truth, __FILE__, __LINE__))

/* Say what is false, and abort. */
void fuzz_fail(const char *what, const char *file, int line) __attribute__((noreturn));

struct fuzz_format {
    void (*expand)(struct expansion *expansion);
    int (*read)(const char *data, size_t len, pairs_fn fn, void *context, struct err *err);
    const char *sample;  /* a template with ${V} in every kind of place, and once ${PASSWORD} */
    size_t sample_pairs; /* how many pairs are read from it */
    bool is_xml;         /* a template's blanks around a setting go, and names are read trimmed */
};

/* The input is V NUL PASSWORD NUL TEMPLATE; without the second NUL the template is the format's
 * sample. Beside V and PASSWORD, a secret, the template may name EMPTY, which is set but empty,
 * and A_PORT, a service link. Demanded of every format:
 *
 * - What is expanded reads back as the same template expanded with two plain words, those words
 *   replaced by the values: no value adds, drops or changes anything else.
 * - What is accepted with any value is accepted with a plain word, and printable values without
 *   "${" are accepted in the sample.
 * - A template without placeholders is not changed, the blanks that is_xml speaks of excepted.
 * - Faults begin with a position and never hold a secret.
 * - An expansion always gives the same. */
void fuzz_expand(const struct fuzz_format *format, const uint8_t *bytes, size_t size);

#endif
