package android.content;

import android.content.pm.PackageManager;
import android.content.res.AssetManager;
import java.io.File;

public abstract class Context {
    public abstract AssetManager getAssets();
    public abstract File getNoBackupFilesDir();
    public abstract File getCacheDir();
    public final String getString(int resId) { throw new UnsupportedOperationException(); }
    public File getExternalFilesDir(String type) { throw new UnsupportedOperationException(); }
    public PackageManager getPackageManager() { throw new UnsupportedOperationException(); }
    public String getPackageName() { throw new UnsupportedOperationException(); }
    public final <T> T getSystemService(Class<T> serviceClass) { throw new UnsupportedOperationException(); }
}
