# syntax=docker/dockerfile:1
#
# Every image, a target each; docs/images.md describes them, `make images` builds them.
#
#   binary               the static program alone, to be copied into other images
#   spark-thrift-server  SPARK_IMAGE with sparkpod, ABFS and the PostgreSQL driver
#   hive-metastore       HIVE_IMAGE with sparkpod, its Hadoop and PostgreSQL driver replaced
#   metastore            the standalone metastore on JRE_IMAGE, small

ARG DEBIAN_IMAGE=debian:bookworm-20251229-slim
ARG JRE_IMAGE=eclipse-temurin:17.0.14_7-jre-jammy
ARG SPARK_IMAGE=apache/spark:3.5.8-scala2.12-java17-ubuntu
ARG HIVE_IMAGE=apache/hive:3.1.3

### The program, by the same scripts as `make static` on any machine

FROM --platform=$BUILDPLATFORM ${DEBIAN_IMAGE} AS libraries
# The architecture of the image: where it is another one, arm64, this machine's compiles for it.
ARG TARGETARCH
WORKDIR /src
# What else is in deps is not for the libraries, and must not have them built anew.
COPY deps/build-static deps/install deps/lock deps/packages deps/
RUN own=$(dpkg --print-architecture) && arch=${TARGETARCH:-$own} && \
    if [ "$arch" = "$own" ]; then deps/install static; else deps/install "$arch"; fi && \
    deps/build-static "$arch"

FROM libraries AS build
ARG TARGETARCH
ARG REVISION=unknown
COPY Makefile LICENSE ./
COPY deps/ deps/
COPY common/ common/
COPY confgen/ confgen/
COPY probes/ probes/
COPY entrypoint/ entrypoint/
RUN make -s -j"$(nproc)" static ARCH="$TARGETARCH" COMMIT="$REVISION" && \
    install -D -m 755 -t /out/usr/local/bin build/release*/sparkpod && \
    install -D -m 644 -t /out/usr/share/doc/sparkpod build/release*/sparkpod.cdx.json && \
    cp -r build/release*/licenses /out/usr/share/doc/sparkpod/

FROM scratch AS binary
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sparkpod" \
      org.opencontainers.image.description="The static program, to be copied or installed" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/ /
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/sparkpod"]
CMD ["help"]

### Jars, by name from Maven Central, checked against images/maven/*.sums

FROM --platform=$BUILDPLATFORM ${DEBIAN_IMAGE} AS maven
WORKDIR /src
COPY deps/install deps/packages deps/
# The JRE's package wants to link a man page into a folder that slim images have not.
RUN mkdir -p /usr/share/man/man1 && deps/install jars
COPY images/fetch images/
COPY images/maven/ images/maven/

FROM ${SPARK_IMAGE} AS spark

# In a stage of its own: buildah and podman would keep the jars of another SPARK_IMAGE if they were
# seen through a mount, as that is no part of a layer's key.
FROM spark AS spark-list
RUN ls /opt/spark/jars >/tmp/spark-jars

FROM maven AS spark-jars
COPY images/spark-jars images/
COPY --from=spark-list /tmp/spark-jars /spark-jars
RUN images/spark-jars /spark-jars /out

FROM maven AS hadoop
ARG HADOOP_VERSION=3.3.6
RUN images/fetch hadoop "$HADOOP_VERSION" \
        /out/opt/hadoop/lib /out/usr/share/doc/sparkpod/jars.cdx.json
COPY images/hadoop /out/opt/hadoop/bin/hadoop
COPY images/metastore-log4j2.properties /out/opt/hadoop/conf/

FROM maven AS metastore-home
ARG METASTORE_VERSION=3.1.3
RUN images/fetch metastore "$METASTORE_VERSION" /got \
        /out/usr/share/doc/sparkpod/metastore.cdx.json && \
    mkdir -p /out/opt/metastore && \
    tar -xzf /got/*.tar.gz -C /out/opt/metastore --no-same-owner --strip-components=1 && \
    rm -r /out/opt/metastore/conf

### Images that serve

FROM spark AS spark-thrift-server
USER 0
# The folder that configuration is rendered to: the base has none.
RUN install -d -o 185 -g 0 -m 775 /opt/spark/conf
COPY --from=spark-jars /out/ /
COPY helm/files/log4j2.properties /opt/spark/log4j2/
COPY --from=build /out/ /
# A faster start, for driver and executors; by hand again where jars are added.
COPY images/archive /usr/local/bin/sparkpod-archive
RUN /usr/local/bin/sparkpod-archive
# Behind the conf folder in the class path: a log4j2.properties there comes first.
ENV SPARK_DIST_CLASSPATH=/opt/spark/log4j2 \
    SPARK_LOG_DIR=/tmp
ARG VERSION=0
ARG REVISION=unknown
ARG SPARK_IMAGE
LABEL org.opencontainers.image.title="sparkpod-spark-thrift-server" \
      org.opencontainers.image.description="Spark Thrift Server under sparkpod, with ABFS" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="$SPARK_IMAGE" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 185:185
EXPOSE 10000 4040 8085
# For docker and podman alone; Kubernetes has probes of its own.
HEALTHCHECK --interval=10s --timeout=10s --start-period=10m \
    CMD ["/usr/local/bin/sparkpod", "probe", "ready"]
ENTRYPOINT ["/usr/local/bin/sparkpod"]
CMD ["thrift-server"]

FROM ${HIVE_IMAGE} AS hive-metastore
USER 0
# Hive's Hadoop 3.1.0 knows no abfss://, its PostgreSQL driver no SCRAM. The Hadoop that comes instead
# has its guava under another name, so that Hive's own is in nobody's way.
RUN rm -rf /opt/hadoop /opt/tez /opt/hive/conf /opt/hive/lib/postgresql-*.jar && \
    install -d -o 1000 -g 0 -m 775 /opt/hive/conf
# Hadoop asks for the user's name; libnss_wrapper gives one to a uid that the cluster chose. The base
# is old: where its Debian is no longer served, the image is for its own uid, which sparkpod says.
# hadolint ignore=DL3008
RUN { apt-get update && apt-get install -y --no-install-recommends libnss-wrapper || \
        echo "no libnss_wrapper: this image is for uid 1000"; } && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
COPY --from=hadoop /out/ /
COPY --from=build /out/ /
ENV HIVE_HOME=/opt/hive \
    HADOOP_HOME=/opt/hadoop \
    HADOOP_CONF_DIR=/opt/hadoop/conf
COPY images/archive /usr/local/bin/sparkpod-archive
RUN /usr/local/bin/sparkpod-archive
ARG VERSION=0
ARG REVISION=unknown
ARG HIVE_IMAGE
LABEL org.opencontainers.image.title="sparkpod-hive-metastore" \
      org.opencontainers.image.description="Apache Hive's metastore under sparkpod, with ABFS" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="$HIVE_IMAGE" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 1000:1000
EXPOSE 9083 8085
HEALTHCHECK --interval=10s --timeout=10s --start-period=10m \
    CMD ["/usr/local/bin/sparkpod", "probe", "ready"]
ENTRYPOINT ["/usr/local/bin/sparkpod"]
CMD ["metastore"]

FROM ${JRE_IMAGE} AS metastore
USER 0
# Hadoop asks for the user's name; libnss_wrapper gives one to a uid that the cluster chose.
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install -y --no-install-recommends libnss-wrapper && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* && \
    install -d -o 1000 -g 0 -m 775 /opt/metastore/conf
COPY --from=metastore-home /out/ /
COPY --from=hadoop /out/ /
COPY images/metastore-site.xml /opt/hadoop/conf/
COPY --from=build /out/ /
ENV METASTORE_HOME=/opt/metastore \
    HADOOP_HOME=/opt/hadoop \
    HADOOP_CONF_DIR=/opt/hadoop/conf
COPY images/archive /usr/local/bin/sparkpod-archive
RUN /usr/local/bin/sparkpod-archive
ARG VERSION=0
ARG REVISION=unknown
ARG JRE_IMAGE
LABEL org.opencontainers.image.title="sparkpod-metastore" \
      org.opencontainers.image.description="The standalone Hive Metastore under sparkpod, with ABFS" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="$JRE_IMAGE" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 1000:1000
WORKDIR /opt/metastore
EXPOSE 9083 8085
HEALTHCHECK --interval=10s --timeout=10s --start-period=10m \
    CMD ["/usr/local/bin/sparkpod", "probe", "ready"]
ENTRYPOINT ["/usr/local/bin/sparkpod"]
CMD ["metastore"]
