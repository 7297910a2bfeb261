package org.tensorflow.lite;

public interface InterpreterApi extends AutoCloseable {
    class Options {
        public Options setNumThreads(int numThreads) { throw new UnsupportedOperationException(); }
    }
}
