# The operator's image: one static program and nothing else. `make docker-build` compiles the program first,
# so that no image has to be pulled to build this one.
FROM scratch
COPY django-operator /django-operator
# glibc keeps what a listing of thousands of objects took unless it is told how much is too much: 10 MB of 70.
ENV MALLOC_TRIM_THRESHOLD_=131072
USER 65532:65532
ENTRYPOINT ["/django-operator"]
CMD ["run"]
