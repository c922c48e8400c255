# An image in many layers that change what those below have. The context has a
# file "copied".
ARG BASE=base
FROM ${BASE}
RUN mkdir -p /data/keep /data/drop/below /swap/dir /mode && \
    echo one >/data/keep/one && echo two >/data/drop/below/two && \
    echo file >/swap/file && echo in >/swap/dir/in && \
    echo first >/data/keep/linked && ln /data/keep/linked /data/keep/link && \
    ln -s /data/keep /data/symlink && chmod 1777 /mode && chown 1234:567 /data/keep
# Deleted and renamed, file, directory and symlink.
RUN rm -r /data/drop /usr/share/apk && mv /data/keep/one /data/renamed && \
    rm /data/symlink && mv /etc/motd /etc/motd.old && rm /bin/arch
# Replaced: a directory by a file, a file by a directory, a directory by itself.
RUN rm -r /swap/dir && echo now a file >/swap/dir && rm /swap/file && mkdir /swap/file && \
    echo now below >/swap/file/below && rm -r /etc/apk && mkdir /etc/apk && echo new >/etc/apk/new && \
    rm -r /opt && ln -s /srv /opt
COPY copied /mode/deep/er/copied
# A link to a file of a lower layer, and of one that changes meanwhile.
RUN ln /etc/shells /etc/hard && \
    echo more >>/data/keep/linked && mkfifo /data/fifo && touch -d '2001-02-03 04:05:06' /data/renamed && \
    chown -R 65534:65534 /srv && chmod 4711 /bin/busybox
# Deleted and made again, deeper.
RUN mkdir -p /data/drop/below && echo again >/data/drop/below/three && rm -r /swap/file && \
    mkdir -p '/data/odd name/\back' && touch "$(printf '/data/odd name/new\nline')" && : >/data/.wh
