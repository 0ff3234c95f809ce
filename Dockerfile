# The operator's image: one static program and nothing else. `make docker-build` compiles the program first,
# so that no image has to be pulled to build this one.
FROM scratch
COPY django-operator /django-operator
# glibc keeps what a listing of thousands of objects took unless it is told how much is too much, and what is to be given
# back by itself: 15 MB of 75.
ENV MALLOC_TRIM_THRESHOLD_=131072 MALLOC_MMAP_THRESHOLD_=65536
USER 65532:65532
ENTRYPOINT ["/django-operator"]
CMD ["run"]
