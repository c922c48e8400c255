# An image that holds layerctl and nothing else, for other Dockerfiles:
# 'make build && docker build -t layerctl .' makes it, and they have
#
#   COPY --from=layerctl /layerctl /usr/local/bin/
#
# The build context has the binaries, each in the directory that BuildKit calls
# its platform (linux/arm/v7/layerctl); a builder that knows no platforms takes
# the one in the context itself.
FROM scratch
ARG TARGETPLATFORM
COPY ${TARGETPLATFORM:-.}/layerctl /layerctl
ENTRYPOINT ["/layerctl"]
