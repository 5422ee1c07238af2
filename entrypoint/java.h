/* The java that the services' scripts start. Spark's spark-class and entrypoint.sh and Hadoop's
 * bin/hadoop all run $JAVA_HOME/bin/java. Where an image has a class-data archive (archive.h),
 * sparkpod points JAVA_HOME to a folder in which that is sparkpod. Under that name it looks whether
 * the archive fits what is to be started, puts the class path in order and the option in front,
 * and becomes the real java, with JAVA_HOME as it was. Whatever does not fit, it becomes the real
 * java with the very arguments it got. Of what the scripts do it knows one thing: the JVM that
 * spark-class asks for its command line has no archive, but gets the jar it needs first. */
#ifndef SPARKPOD_ENTRYPOINT_JAVA_H
#define SPARKPOD_ENTRYPOINT_JAVA_H

#include "entrypoint/commands.h"
#include "entrypoint/service.h"

/* Where images/archive puts it: the default of java.archive. */
#define JAVA_ARCHIVE "/usr/local/lib/sparkpod/archive"

/* Lead the scripts that command starts by way of sparkpod, if java.archive is there. */
void java_lead_command(const struct service *service, struct command *command);

/* The same in our own environment, for a script that this process becomes. */
void java_lead_self(void);

/* Whether this is what sparkpod was started as. */
bool java_is_called(const char *argv0);

/* Become java. Returns the exit status only if there is none. */
int command_java(const struct invocation *invocation);

#endif
